// One job of the list: what is shown of it and no more, as there may be a hundred thousand.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

struct QueueRow {
  /// Seconds for which a job that is over is listed.
  static let keptSeconds = 3600

  let label: String
  var id: UInt32
  var array: UInt32?
  var task: UInt32?
  var user: uid_t
  var phase: JobPhase
  var name = ""
  var partition = ""
  var state = ""
  var reason = ""
  var nodes = ""
  var nodeCount: Int?
  var cpus: Int?
  var submitted: Int?
  var started: Int?
  var ended: Int?
  var limit: Limit?
  var exit: Int?
  /// How far a pool is.
  var progress: String?

  init(label: String, id: UInt32, user: uid_t, phase: JobPhase) {
    (self.label, self.id, self.user, self.phase) = (label, id, user, phase)
  }

  init(_ job: JobInfo) {
    self.init(label: job.label, id: job.id, user: job.user, phase: job.phase)
    (array, task, name, partition) = (job.array, job.task, job.name, job.partition)
    (state, reason, nodes, nodeCount) = (job.state, job.reason, job.nodes, job.nodeCount)
    (cpus, submitted, started, ended) = (job.cpus, job.submitted, job.started, job.ended)
    (limit, exit) = (job.limit, job.exit)
  }

  /// What spunnel-run noted of a job that Slurm has forgotten.
  init?(_ label: String, run text: RecordText) {
    // Without an end the node or spunnel-run was killed.
    guard let note = RunNote(text), let reference = JobReference(label), let status = note.status
    else { return nil }
    self.init(label: label, id: reference.job, user: getuid(), phase: .over)
    if let task = reference.task { (array, self.task) = (reference.job, task) }
    state = status == 0 ? "COMPLETED" : "FAILED"
    (exit, started, ended, nodes) = (status, note.begun, note.ended, note.host)
  }

  /// Whether it is not over, or has been for less than an hour.
  func isRecent(_ now: Int) -> Bool {
    phase != .over || now - (ended ?? 0) < QueueRow.keptSeconds
  }

  /// Those that run first, those that are over last.
  var order: Int {
    let rank = phase == .running ? 0 : phase == .pending ? 1 : 2
    return rank << 40 | (phase == .over ? Int(UInt32.max) - (ended ?? 0) : Int(id))
  }

  func elapsed(_ now: Int) -> Int? {
    guard phase != .pending, let started else { return nil }
    return max(0, (phase == .over ? ended ?? now : now) - started)
  }

  var status: JobStatus { JobStatus(state, exit: exit ?? 0, reason: reason) }

  /// Where it runs, why it waits, or how it ended.
  var place: String {
    switch phase {
    case .running: progress.map { "\(nodes): \($0)" } ?? nodes
    case .pending: reason.isEmpty ? "" : "(\(reason))"
    case .over: status.words
    }
  }

  /// For programs.
  func json(userName: String) -> JSON {
    JSON([
      "job": .string(label), "id": .number(Int(id)), "array": .number(array), "task": .number(task),
      "name": .string(name), "user": .string(userName),
      "partition": .string(partition), "phase": .string(phase.rawValue), "state": .string(state),
      "reason": reason.isEmpty ? nil : .string(reason),
      "nodes": nodes.isEmpty ? nil : .string(nodes),
      "node_count": .number(nodeCount), "cpus": .number(cpus),
      "submitted": .number(submitted), "started": .number(started), "ended": .number(ended),
      "limit_minutes": .number(limit?.value),
      "status": phase == .over ? .number(status.code) : nil,
      "meaning": phase == .over ? .string(status.words) : nil,
      "pool": .string(progress),
    ])
  }
}

/// Where the columns of a row are in the helper's answer, looked up once.
struct QueueColumns {
  static let names = [
    "id", "array", "task", "tasks", "throttle", "het", "component", "name", "user", "phase",
    "state", "reason", "partition", "nodes", "node_count", "cpus", "submitted", "started", "ended",
    "limit", "exit",
  ]

  private let places: [Int]

  /// - Returns: `nil` for an answer that lacks one of them
  init?(_ record: HelperRecord) {
    let found = QueueColumns.names.compactMap { record.index(of: $0) }
    if found.count != QueueColumns.names.count { return nil }
    places = found
  }

  func row(_ record: HelperRecord) -> QueueRow? {
    func text(_ column: Int) -> String { record.text(at: places[column]) }
    func number(_ column: Int) -> Int? { record.number(at: places[column]) }
    func identifier(_ column: Int) -> UInt32? { number(column).flatMap { UInt32(exactly: $0) } }
    guard let id = identifier(0), let user = identifier(8), let phase = JobPhase(rawValue: text(9))
    else { return nil }
    let (array, task) = (identifier(1), identifier(2))
    var row = QueueRow(
      label: array == nil && number(5) == nil ? String(id) : label(record, id, array, task),
      id: id, user: user, phase: phase)
    (row.array, row.task, row.name) = (array, task, text(7))
    (row.state, row.reason, row.partition) = (text(10), text(11), text(12))
    (row.nodes, row.nodeCount, row.cpus) = (text(13), number(14), number(15))
    (row.submitted, row.started, row.ended) = (number(16), number(17), number(18))
    row.limit = number(19).map { .of($0) } ?? (text(19) == "unlimited" ? .unlimited : nil)
    row.exit = number(20)
    return row
  }

  /// Of what is more than a number.
  private func label(
    _ record: HelperRecord, _ id: UInt32, _ array: UInt32?, _ task: UInt32?
  ) -> String {
    if let array, let task { return "\(array)_\(task)" }
    var job = JobInfo(id: id, user: 0, phase: .pending)
    (job.array, job.task) = (array, task)
    job.tasks = record.text(at: places[3])
    job.throttle = record.number(at: places[4])
    job.het = record.number(at: places[5]).flatMap { UInt32(exactly: $0) }
    job.component = record.number(at: places[6]).flatMap { UInt32(exactly: $0) }
    return job.label
  }
}
