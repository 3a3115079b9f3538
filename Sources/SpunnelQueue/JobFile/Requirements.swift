// The requirements of a job in wq's form, and sbatch's options for them.

import SpunnelSlurm

/// How wq selects nodes and cores.
package enum SelectionMode: String, CaseIterable, Sendable {
  /// N cores on any nodes.
  case bycore
  /// N cores on one node.
  case bycore1
  /// N whole nodes.
  case bynode
  /// N cores on the node that `host` names.
  case byhost
  /// All nodes of the groups, whole.
  case bygroup

  /// Reads both spellings: `bycore` and `by_core`.
  package init?(spelling text: String) {
    self.init(rawValue: text.filter { $0 != "_" })
  }
}

/// wq's four priorities.
package enum QueuePriority: String, CaseIterable, Sendable {
  case low, med, high, block

  /// The value to add to `nice`. Only Slurm's operator may use a negative one.
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
  /// Whether the user gave a requirement. Without one, sbatch gets no options.
  package var isGiven = false
  /// The number of cores, or of nodes if the mode is `bynode`.
  package var count = 1
  package var groups: [String] = []
  package var excludedGroups: [String] = []
  package var leastCores = 0
  /// The least memory of a node, in MiB.
  package var leastMemory = 0
  package var threads = 1
  package var host: String?
  package var hostFile: String?
  package var forwardsX = false
  package var priority: QueuePriority?

  package init() {}

  /// Why requirements cannot be met, or contradict each other.
  package struct Problem: Error, Equatable, Sendable {
    package let message: String
  }

  /// Whether sbatch's options depend on the nodes of the cluster.
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

  /// The options for sbatch.
  ///
  /// - Parameter nodes: the nodes of the cluster; needed only if `needsNodes`
  /// - Throws: requirements that no node meets, or that contradict each other
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

  /// Whether a node is excluded by name. Slurm has no option for "without this feature". Its
  /// options for memory count what the job takes, not what the node has.
  private func isExcluded(_ node: NodeInfo) -> Bool {
    excludedGroups.contains { node.features.contains($0) } || node.memory < leastMemory
  }
}
