// `spunnelctl queue`: the jobs of the user, or of all users.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum QueueCommand {
  private static let user = Option(
    "user", letter: "u", "USER", .text, "Show the jobs of these users (a,b).")
  private static let all = Flag("all", letter: "a", "Show everybody's jobs.")

  static let spec = CommandSpec(
    "queue", "Show your jobs, and those that ended within the hour.",
    options: [user, all, Output.json, Output.watch],
    details: """
      WHERE is the nodes of a job that runs, why a job waits, and how a job ended. All tasks of an
      array that wait are one line.
      """,
    examples: [.init("spunnelctl queue --watch", "Watch your jobs.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let users = try call[user].map { text throws(CommandError) in try userNumbers(text) }
    let isEverybody = call[all]
    let look: Watch.Look = { () throws(CommandError) in
      try report(tools, users: isEverybody ? nil : users ?? [getuid()])
    }
    let output = Output(call)
    if output.watches { try Watch.run(output, nil, look) } else { try output.tell(try look()) }
    return .success
  }

  static func userNumbers(_ text: String) throws(CommandError) -> Set<uid_t> {
    var users: Set<uid_t> = []
    for name in text.split(separator: ",").map(String.init) {
      if let number = uid_t(name) {
        users.insert(number)
      } else if let entry = unsafe getpwnam(name) {
        users.insert(unsafe entry.pointee.pw_uid)
      } else {
        throw .failure("queue: user '\(printable(name))': no such user on this host")
      }
    }
    return users
  }

  /// - Parameter users: the owners of the jobs; `nil` for every user
  private static func report(
    _ tools: QueueTools, users: Set<uid_t>?
  ) throws(CommandError) -> QueueReport {
    var rows: [QueueRow] = []
    let now = QueueTime.now
    let selection: SlurmHelper.Selection = users?.count == 1 ? .user(users?.first ?? 0) : .all
    do throws(SlurmError) {
      try tools.slurm.eachJob(selection, columns: QueueRow.columns) { record in
        if let row = QueueRow(record), users?.contains(row.user) ?? true, row.isRecent(now) {
          rows.append(row)
        }
      }
    } catch { throw .failure("queue: \(error)") }
    if users == [getuid()] {
      // This reads a file for each running job, so the number is bounded.
      for index in rows.indices.prefix(500) where rows[index].job.phase == .running {
        rows[index].progress = tools.poolProgress(rows[index].label)?.line
      }
    }
    if users == [getuid()] { rows += remembered(rows, tools, now) }
    return QueueReport(
      rows: rows.sorted { $0.order < $1.order }, now: now, showsUsers: users != [getuid()])
  }

  /// Jobs that Slurm has forgotten and that ended less than an hour ago.
  private static func remembered(_ known: [QueueRow], _ tools: QueueTools, _ now: Int) -> [QueueRow]
  {
    guard let records = tools.records else { return [] }
    let labels = Set(known.map(\.label))
    return records.names().suffix(5000).compactMap { name in
      guard name.hasSuffix(".end") || name.hasSuffix(".run") else { return nil }
      let label = String(name.dropLast(4))
      if labels.contains(label) || (name.hasSuffix(".run") && records.read("\(label).end") != nil) {
        return nil
      }
      guard let text = records.read(name) else { return nil }
      let row =
        name.hasSuffix(".end")
        ? JobInfo(end: text).map { QueueRow($0) } : QueueRow(label, run: text)
      return row.flatMap { $0.isRecent(now) ? $0 : nil }
    }
  }
}

/// One job of the list.
struct QueueRow {
  static let columns = [
    "id", "array", "task", "tasks", "throttle", "het", "component", "name", "user", "phase",
    "state",
    "reason", "partition", "nodes", "node_count", "cpus", "submitted", "started", "ended", "limit",
    "exit",
  ]

  let job: JobInfo
  let label: String
  /// The progress of a pool; `nil` for other jobs.
  var progress: String?
  var user: uid_t { job.user }

  init?(_ record: HelperRecord) {
    guard let job = JobInfo(record) else { return nil }
    self.init(job)
  }

  init(_ job: JobInfo) {
    self.job = job
    label = job.label
  }

  /// Makes a row of spunnel-run's note, for a job that Slurm has forgotten.
  init?(_ label: String, run text: RecordText) {
    guard let note = RunNote(text), let reference = JobReference(label) else { return nil }
    var job = JobInfo(id: reference.job, user: getuid(), phase: .over)
    if let task = reference.task { (job.array, job.task) = (reference.job, task) }
    // Without a status, the node or spunnel-run was killed.
    guard let status = note.status else { return nil }
    job.state = status == 0 ? "COMPLETED" : "FAILED"
    job.exit = status
    job.started = note.begun
    job.ended = note.ended
    job.nodes = note.host
    self.init(job)
  }

  /// Whether the job is not over, or ended less than an hour ago.
  func isRecent(_ now: Int) -> Bool { job.phase != .over || now - (job.ended ?? 0) < 3600 }

  /// The sort key: running jobs first, ended jobs last.
  var order: Int {
    let phase = job.phase == .running ? 0 : job.phase == .pending ? 1 : 2
    return phase << 40 | (job.phase == .over ? Int(UInt32.max) - (job.ended ?? 0) : Int(job.id))
  }

  func elapsed(_ now: Int) -> Int? {
    guard job.phase != .pending, let started = job.started else { return nil }
    let end = job.phase == .over ? job.ended ?? now : now
    return max(0, end - started)
  }

  /// Where the job runs, why it waits, or how it ended.
  var place: String {
    switch job.phase {
    case .running: progress.map { "\(job.nodes): \($0)" } ?? job.nodes
    case .pending: job.reason.isEmpty ? "" : "(\(job.reason))"
    case .over: JobStatus(job).words
    }
  }
}

/// The result of `spunnelctl queue`.
struct QueueReport: Report {
  let rows: [QueueRow]
  let now: Int
  let showsUsers: Bool

  var text: String {
    let titles =
      ["JOB", "NAME"] + (showsUsers ? ["USER"] : []) + [
        "PARTITION", "STATE", "TIME", "LIMIT", "NODES", "CPUS", "WHERE",
      ]
    var table = Table(titles)
    var names: [uid_t: String] = [:]
    for row in rows {
      let job = row.job
      var cells = [row.label, job.name]
      if showsUsers {
        if names[job.user] == nil { names[job.user] = Host.userName(of: job.user) }
        cells.append(names[job.user] ?? "")
      }
      cells += [
        job.partition, job.state, row.elapsed(now).map { QueueTime.span($0) } ?? "",
        QueueTime.limit(job.limit), job.nodeCount.map { String($0) } ?? "",
        job.cpus.map { String($0) } ?? "", row.place,
      ]
      table.add(cells)
    }
    return table.text
  }

  var object: JSON { JSON(["jobs": .array(rows.map { $0.job.json(now: now) })]) }
}

extension JobInfo {
  /// The job as JSON.
  ///
  /// - Parameter now: the present time, in seconds since 1970
  func json(now: Int) -> JSON {
    JSON([
      "job": .string(label), "id": .number(Int(id)), "array": .number(array), "task": .number(task),
      "name": .string(name), "user": .string(Host.userName(of: user)),
      "partition": .string(partition), "phase": .string(phase.rawValue), "state": .string(state),
      "reason": reason.isEmpty ? nil : .string(reason),
      "nodes": nodes.isEmpty ? nil : .string(nodes),
      "node_count": .number(nodeCount), "cpus": .number(cpus),
      "submitted": .number(submitted), "started": .number(started), "ended": .number(ended),
      "limit_minutes": .number(limit?.value),
      "status": phase == .over ? .number(JobStatus(self).code) : nil,
      "meaning": phase == .over ? .string(JobStatus(self).words) : nil,
    ])
  }
}
