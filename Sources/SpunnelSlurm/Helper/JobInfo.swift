// A job as Slurm tells it.

import Glibc

/// What is left to happen to a job.
package enum JobPhase: String, Sendable {
  case pending, running, over
}

/// A bound that may be none.
package enum Limit: Equatable, Sendable {
  case unlimited
  case of(Int)

  /// The number; `nil` without a bound.
  package var value: Int? {
    if case .of(let value) = self { return value }
    return nil
  }
}

extension HelperRecord {
  /// A number or `unlimited`; `nil` when it is not known.
  package func limit(_ column: String) -> Limit? {
    if let value = number(column) { return .of(value) }
    return text(column) == "unlimited" ? .unlimited : nil
  }

  func identifier(_ column: String) -> UInt32? {
    number(column).flatMap { UInt32(exactly: $0) }
  }
}

/// One record of Slurm's job table. The tasks of an array that wait share one record.
package struct JobInfo: Sendable {
  /// The job's own number.
  package var id: UInt32
  /// The array's number.
  package var array: UInt32?
  /// The number within the array; `nil` for tasks that wait together.
  package var task: UInt32?
  /// The numbers of tasks that wait together: `1-4,7-15:4`.
  package var tasks = ""
  /// How many tasks of the array may run at once.
  package var throttle: Int?
  /// A heterogeneous job's number, and the component within it.
  package var het: UInt32?
  package var component: UInt32?
  package var name = ""
  package var user: uid_t
  package var account = ""
  package var phase: JobPhase
  /// Slurm's word: `PENDING`.
  package var state = ""
  /// Whether its processes and epilog are still being ended.
  package var isCompleting = false
  /// Slurm's word for why it waits or has failed: `Resources`.
  package var reason = ""
  /// Slurm's sentence for it, where there is one.
  package var explanation = ""
  package var partition = ""
  package var qos = ""
  /// The nodes that it has or had: `n[1-2]`.
  package var nodes = ""
  package var nodeCount: Int?
  package var cpus: Int?
  package var tasksWanted: Int?
  package var cpusPerTask: Int?
  package var tasksPerNode: Int?
  /// In MiB; one of the two.
  package var memoryPerNode: Int?
  package var memoryPerCPU: Int?
  package var comment = ""
  /// Seconds since 1970. Of a job that waits, `started` is when Slurm plans to start it.
  package var submitted: Int?
  package var eligible: Int?
  package var started: Int?
  /// Of a job that runs: when its time limit is reached.
  package var ended: Int?
  /// In minutes.
  package var limit: Limit?
  /// As wait(2) tells it.
  package var exit: Int?
  /// The highest of its steps.
  package var derivedExit: Int?
  package var folder = ""
  /// The patterns or paths of its files, as Slurm keeps them.
  package var output = ""
  package var errors = ""
  package var input = ""
  package var command = ""
  package var isBatch = false
  package var batchHost = ""
  package var features = ""
  /// What it wants of each node besides: `gres:gpu:2`.
  package var gres = ""
  package var tres = ""
  package var tresUsed = ""
  package var licenses = ""
  package var dependency = ""
  package var requiredNodes = ""
  package var excludedNodes = ""
  package var plannedNodes = ""
  package var reservation = ""
  /// 0: held.
  package var priority: Int?
  package var nice = 0
  package var restarts = 0

  /// A job of which nothing else is known.
  package init(id: UInt32, user: uid_t, phase: JobPhase) {
    self.id = id
    self.user = user
    self.phase = phase
  }

  /// - Returns: `nil` for a record that lacks what each job has
  package init?(_ record: HelperRecord) {
    guard let id = record.identifier("id"), let user = record.identifier("user"),
      let phase = JobPhase(rawValue: record.text("phase"))
    else { return nil }
    self.init(id: id, user: user, phase: phase)
    readIdentity(record)
    readState(record)
    readWishes(record)
    readFiles(record)
  }

  private mutating func readIdentity(_ record: HelperRecord) {
    array = record.identifier("array")
    task = record.identifier("task")
    tasks = record.text("tasks")
    throttle = record.number("throttle")
    het = record.identifier("het")
    component = record.identifier("component")
    name = record.text("name")
    account = record.text("account")
    comment = record.text("comment")
  }

  private mutating func readState(_ record: HelperRecord) {
    state = record.text("state")
    isCompleting = record.number("completing") == 1
    reason = record.text("reason")
    explanation = record.text("explanation")
    nodes = record.text("nodes")
    batchHost = record.text("batch_host")
    submitted = record.number("submitted")
    eligible = record.number("eligible")
    started = record.number("started")
    ended = record.number("ended")
    exit = record.number("exit")
    derivedExit = record.number("derived_exit")
    plannedNodes = record.text("planned_nodes")
    priority = record.number("priority")
    restarts = record.number("restarts") ?? 0
    tresUsed = record.text("tres_used")
  }

  private mutating func readWishes(_ record: HelperRecord) {
    partition = record.text("partition")
    qos = record.text("qos")
    nodeCount = record.number("node_count")
    cpus = record.number("cpus")
    tasksWanted = record.number("tasks_wanted")
    cpusPerTask = record.number("cpus_per_task")
    tasksPerNode = record.number("tasks_per_node")
    memoryPerNode = record.number("memory_per_node")
    memoryPerCPU = record.number("memory_per_cpu")
    limit = record.limit("limit")
    features = record.text("features")
    gres = record.text("gres")
    tres = record.text("tres")
    licenses = record.text("licenses")
    dependency = record.text("dependency")
    requiredNodes = record.text("required_nodes")
    excludedNodes = record.text("excluded_nodes")
    reservation = record.text("reservation")
    nice = record.number("nice") ?? 0
  }

  private mutating func readFiles(_ record: HelperRecord) {
    folder = record.text("folder")
    output = record.text("output")
    errors = record.text("errors")
    input = record.text("input")
    command = record.text("command")
    isBatch = record.number("batch") == 1
  }

  /// The job as Slurm's commands write it: `12`, `12_3`, `12_[1-4%2]`, `12+1`.
  package var label: String {
    if let array {
      if let task { return "\(array)_\(task)" }
      let throttled = throttle.map { "%\($0)" } ?? ""
      return tasks.isEmpty
        ? "\(array)" : "\(array)_[\(tasks)\(tasks.contains("%") ? "" : throttled)]"
    }
    if let het, let component { return "\(het)+\(component)" }
    return String(id)
  }
}
