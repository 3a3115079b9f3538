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

      With --watch, keys act on the job under the cursor: e explains it, l shows its log, c cancels it after
      a question, t shows its tunnel's address, q ends. Jobs that ended fade out at the bottom.
      """,
    examples: [.init("spunnelctl queue --watch", "Watch your jobs.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let users = try call[user].map { text throws(CommandError) in try userNumbers(text) }
    let isEverybody = call[all]
    let output = Output(call)
    let screen = QueueScreen(tools)
    let look: Watch.Look = { () throws(CommandError) in
      let report = try report(tools, users: isEverybody ? nil : users ?? [getuid()])
      if output.watches { screen.take(report) }
      return report
    }
    if output.watches {
      try Watch.run(output, nil, screen: screen, look)
    } else {
      try output.tell(try look())
    }
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
    var columns: QueueColumns?
    do throws(SlurmError) {
      try tools.slurm.eachJob(selection, columns: QueueColumns.names) { record in
        if columns == nil { columns = QueueColumns(record) }
        if let row = columns?.row(record), users?.contains(row.user) ?? true, row.isRecent(now) {
          rows.append(row)
        }
      }
    } catch { throw .failure("queue: \(error)") }
    if users == [getuid()] {
      // A look into a file for each; nobody has more of them that run.
      for index in rows.indices.prefix(500) where rows[index].phase == .running {
        rows[index].progress = tools.poolProgress(rows[index].label)?.line
      }
    }
    if users == [getuid()] { rows += remembered(rows, tools, now) }
    return QueueReport(rows: rows, now: now, showsUsers: users != [getuid()])
  }

  /// Jobs that Slurm has forgotten and that ended less than an hour ago.
  private static func remembered(_ known: [QueueRow], _ tools: QueueTools, _ now: Int) -> [QueueRow]
  {
    guard let records = tools.records else { return [] }
    let recent = records.recent(since: now - QueueRow.keptSeconds)
    if recent.isEmpty { return [] }
    let labels = Set(known.map(\.label))
    let ends = Set(recent.filter { $0.hasSuffix(".end") })
    return recent.compactMap { name in
      let label = String(name.dropLast(4))
      if labels.contains(label) || (name.hasSuffix(".run") && ends.contains("\(label).end")) {
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
