// What a job wants, as wq's users write it, and what sbatch is told for it.

import SpunnelSlurm

/// How wq chooses nodes and cores.
package enum SelectionMode: String, CaseIterable, Sendable {
  /// N cores, of any nodes.
  case bycore
  /// N cores of one node.
  case bycore1
  /// N whole nodes.
  case bynode
  /// N cores of the node that `host` names.
  case byhost
  /// All nodes of the groups, whole.
  case bygroup

  /// Both spellings: `by_core` as well.
  package init?(spelling text: String) {
    self.init(rawValue: text.filter { $0 != "_" })
  }
}

/// wq's four words.
package enum QueuePriority: String, CaseIterable, Sendable {
  case low, med, high, block

  /// What is added to nice; no user may take anything away from it, only Slurm's operator.
  package var nice: Int {
    switch self {
    case .low: 1000
    case .med: 0
    case .high: -1000
    case .block: -2000
    }
  }
}

/// The requirements of a job.
package struct Requirements: Equatable, Sendable {
  package var mode = SelectionMode.bycore
  /// Whether any of them was written, so that sbatch is told anything.
  package var isGiven = false
  /// Cores, or nodes for bynode.
  package var count = 1
  package var groups: [String] = []
  package var excludedGroups: [String] = []
  package var leastCores = 0
  /// In MiB.
  package var leastMemory = 0
  package var threads = 1
  package var host: String?
  package var hostFile: String?
  package var forwardsX = false
  package var priority: QueuePriority?

  package init() {}

  /// Why requirements cannot be met, or make no sense together.
  package struct Problem: Error, Equatable, Sendable {
    package let message: String
  }

  /// Whether the nodes must be known to tell sbatch what is wanted.
  package var needsNodes: Bool {
    mode == .bygroup || !excludedGroups.isEmpty || leastMemory > 0
  }

  /// Whether srun would run the command more than once.
  package var runsManyTasks: Bool {
    switch mode {
    case .bycore: count > threads
    case .bynode: count > 1
    case .bygroup: true
    case .bycore1, .byhost: false
    }
  }

  /// What sbatch is told.
  ///
  /// - Parameter nodes: the cluster's, where `needsNodes` says so
  package func words(nodes: [NodeInfo]) throws(Problem) -> [String] {
    if !isGiven { return [] }
    var words = try modeWords(nodes)
    if !groups.isEmpty, mode != .bygroup {
      words.append("--constraint=" + groups.joined(separator: "|"))
    }
    let excluded = nodes.filter { isExcluded($0) }.map(\.name)
    if !excluded.isEmpty, mode != .bygroup {
      if excluded.count == nodes.count { throw noNode }
      words.append("--exclude=" + excluded.joined(separator: ","))
    }
    if let nice = priority?.nice, nice != 0 { words.append("--nice=\(nice)") }
    return words
  }

  private var noNode: Problem {
    Problem(message: "no node is left: see spunnelctl nodes for their memory and features")
  }

  private func modeWords(_ nodes: [NodeInfo]) throws(Problem) -> [String] {
    switch mode {
    case .bycore:
      if count % threads != 0 {
        throw Problem(message: "N: \(count) is no multiple of threads: \(threads)")
      }
      return threads > 1
        ? ["--ntasks=\(count / threads)", "--cpus-per-task=\(threads)"] : ["--ntasks=\(count)"]
    case .bycore1: return ["--nodes=1", "--ntasks=1", "--cpus-per-task=\(count)"]
    case .bynode:
      return ["--nodes=\(count)", "--exclusive"]
        + (leastCores > 0 ? ["--mincpus=\(leastCores)"] : [])
    case .byhost:
      guard let host else { throw Problem(message: "mode byhost: host is missing: add host: NAME") }
      return ["--nodes=1", "--nodelist=\(host)", "--ntasks=1", "--cpus-per-task=\(count)"]
    case .bygroup:
      if groups.isEmpty {
        throw Problem(message: "mode bygroup: group is missing: add group: NAME")
      }
      let chosen = nodes.filter { node in
        node.isUsable && groups.contains { node.features.contains($0) } && !isExcluded(node)
      }
      if chosen.isEmpty { throw noNode }
      return [
        "--nodes=\(chosen.count)", "--exclusive",
        "--nodelist=" + chosen.map(\.name).joined(separator: ","),
      ]
    }
  }

  /// Slurm has no word for "without this feature" and none for "with memory that is not taken".
  private func isExcluded(_ node: NodeInfo) -> Bool {
    excludedGroups.contains { node.features.contains($0) } || node.memory < leastMemory
  }
}
