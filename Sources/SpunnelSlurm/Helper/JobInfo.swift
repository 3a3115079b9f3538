// A job as Slurm describes it.

import Glibc

/// The phase of a job.
package enum JobPhase: String, Sendable {
  case pending, running, over
}

/// A limit that may be unlimited.
package enum Limit: Equatable, Sendable {
  case unlimited
  case of(Int)

  /// The number; `nil` if unlimited.
  package var value: Int? {
    if case .of(let value) = self { return value }
    return nil
  }
}

extension HelperRecord {
  /// A number or `unlimited`; `nil` if it is unknown.
  package func limit(_ column: String) -> Limit? {
    if let value = number(column) { return .of(value) }
    return text(column) == "unlimited" ? .unlimited : nil
  }

  func identifier(_ column: String) -> UInt32? {
    number(column).flatMap { UInt32(exactly: $0) }
  }
}

/// One record of Slurm's job table. The waiting tasks of an array share one record.
package struct JobInfo: Sendable {
  /// The job's own number.
  package var id: UInt32
  /// The number of its array.
  package var array: UInt32?
  /// The task number in the array; `nil` for tasks that wait together.
  package var task: UInt32?
  /// The task numbers that wait together, such as `1-4,7-15:4`.
  package var tasks = ""
  /// The most tasks of the array that may run at once.
  package var throttle: Int?
  /// The number of its heterogeneous job, and its component number.
  package var het: UInt32?
  package var component: UInt32?
  package var name = ""
  package var user: uid_t
  package var account = ""
  package var phase: JobPhase
  /// Slurm's word for the state, such as `PENDING`.
  package var state = ""
  /// Whether its processes and epilog are still ending.
  package var isCompleting = false
  /// Slurm's word for the reason why it waits or has failed, such as `Resources`.
  package var reason = ""
  /// Slurm's sentence for the reason, if there is one.
  package var explanation = ""
  package var partition = ""
  package var qos = ""
  /// The nodes that it has or had, such as `n[1-2]`.
  package var nodes = ""
  package var nodeCount: Int?
  package var cpus: Int?
  package var tasksWanted: Int?
  package var cpusPerTask: Int?
  package var tasksPerNode: Int?
  /// In MiB. Only one of the two is set.
  package var memoryPerNode: Int?
  package var memoryPerCPU: Int?
  package var comment = ""
  /// Times in seconds since 1970. For a waiting job, `started` is the time for which Slurm plans
  /// it.
  package var submitted: Int?
  package var eligible: Int?
  package var started: Int?
  /// For a running job: when its time limit is reached.
  package var ended: Int?
  /// In minutes.
  package var limit: Limit?
  /// The status as wait(2) gives it.
  package var exit: Int?
  /// The highest status of its steps.
  package var derivedExit: Int?
  package var folder = ""
  /// The patterns or paths of its files, as Slurm stores them.
  package var output = ""
  package var errors = ""
  package var input = ""
  package var command = ""
  package var isBatch = false
  package var batchHost = ""
  package var features = ""
  /// Further resources that it requests on each node, such as `gres:gpu:2`.
  package var gres = ""
  package var tres = ""
  package var tresUsed = ""
  package var licenses = ""
  package var dependency = ""
  package var requiredNodes = ""
  package var excludedNodes = ""
  package var plannedNodes = ""
  package var reservation = ""
  /// 0: the job is held.
  package var priority: Int?
  package var nice = 0
  package var restarts = 0

  /// Describes a job of which nothing else is known.
  package init(id: UInt32, user: uid_t, phase: JobPhase) {
    self.id = id
    self.user = user
    self.phase = phase
  }

  /// Reads a record.
  ///
  /// - Returns: `nil` if the record lacks a column that each job has
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

  /// The job as Slurm's commands write it, such as `12`, `12_3`, `12_[1-4%2]` or `12+1`.
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
