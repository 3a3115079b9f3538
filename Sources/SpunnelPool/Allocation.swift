// The nodes of the allocation around this process, and how many tasks each node runs at once.

import SpunnelSystem

/// The nodes on which agents run.
package struct Allocation: Equatable, Sendable {
  /// A node, and how many tasks it runs at once.
  package struct Node: Equatable, Sendable {
    package let name: String
    package let slots: Int
  }

  /// The job id; `nil` outside Slurm, where one agent runs on this host.
  package var job: String?
  package var nodes: [Node]
  /// Megabytes on each node; `nil` if Slurm does not say.
  package var memory: Int?

  /// Reads the variables that Slurm sets for a job.
  ///
  /// - Parameters:
  ///   - variable: returns a variable of the environment
  ///   - processors: the processors of this host, used outside Slurm
  ///   - tasksPerNode: the user's own limit for each node
  ///   - expand: turns a list such as `n[1-2]` into names
  /// - Throws: an allocation without nodes
  package init(
    variable: (String) -> String?, processors: Int, tasksPerNode: Int?,
    expand: (String) throws(PoolUsageError) -> [String]
  ) throws(PoolUsageError) {
    guard let job = variable("SLURM_JOB_ID"), !job.isEmpty else {
      self.job = nil
      nodes = [Node(name: Host.name, slots: tasksPerNode ?? processors)]
      return
    }
    self.job = job
    let names = try expand(variable("SLURM_JOB_NODELIST") ?? "")
    let counts =
      Allocation.counts(variable("SLURM_TASKS_PER_NODE") ?? "")
      ?? Allocation.counts(variable("SLURM_JOB_CPUS_PER_NODE") ?? "") ?? []
    guard !names.isEmpty else {
      throw PoolUsageError(
        "read the allocation: SLURM_JOB_NODELIST names no node: run inside sbatch or salloc")
    }
    nodes = names.enumerated().map { index, name in
      let count = index < counts.count ? counts[index] : counts.last ?? 1
      return Node(name: name, slots: max(1, tasksPerNode ?? count))
    }
    memory = Allocation.memory(variable)
  }

  /// Reads Slurm's short form of counts, `2(x3),1`.
  static func counts(_ text: String) -> [Int]? {
    var counts: [Int] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let fields = part.split(separator: "(")
      guard let first = fields.first, let count = Int(first), count > 0 else { return nil }
      var times = 1
      if fields.count == 2 {
        guard fields[1].hasPrefix("x"), fields[1].hasSuffix(")"),
          let number = Int(fields[1].dropFirst().dropLast()), (1...100_000).contains(number)
        else { return nil }
        times = number
      }
      counts += [Int](repeating: count, count: times)
    }
    return counts
  }

  private static func memory(_ variable: (String) -> String?) -> Int? {
    if let node = variable("SLURM_MEM_PER_NODE").flatMap({ Int($0) }), node > 0 { return node }
    guard let each = variable("SLURM_MEM_PER_CPU").flatMap({ Int($0) }), each > 0,
      let processors = counts(variable("SLURM_JOB_CPUS_PER_NODE") ?? "")?.min()
    else { return nil }
    return each * processors
  }
}

extension Allocation {
  /// Reads the environment of this process, and asks Slurm for the names of the nodes.
  package static func current(tasksPerNode: Int?) throws(PoolUsageError) -> Allocation {
    try Allocation(
      variable: { Process.environment($0) }, processors: Process.processorCount,
      tasksPerNode: tasksPerNode, expand: hostNames)
  }

  private static func hostNames(_ list: String) throws(PoolUsageError) -> [String] {
    if !list.contains(where: { "[,".contains($0) }) { return list.isEmpty ? [] : [list] }
    guard let scontrol = Program.find("scontrol") else {
      throw PoolUsageError("read the allocation: scontrol: not found: add Slurm's programs to PATH")
    }
    let program = Program(
      scontrol, ["show", "hostnames", list], environment: Process.environment())
    guard let answer = try? program.capture(milliseconds: 60_000), answer.succeeded else {
      throw PoolUsageError("read the allocation: scontrol show hostnames \(list): no answer")
    }
    return answer.output.split(separator: "\n").map { String($0) }
  }
}
