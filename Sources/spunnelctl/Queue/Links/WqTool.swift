// wq's commands by their own name, letters and columns (github.com/esheldon/wq), on Slurm.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum WqTool {
  static let root = CommandSpec(
    "wq", "The work queue's commands, on Slurm.",
    details: "Slurm is the server: nobody serves, and jobs go on without their client.",
    examples: [.init("wq sub -c hostname", "Run a command.")],
    subcommands: [sub, ls, stat, rm, refresh])

  // MARK: sub

  private static let command = Option(
    "command", letter: "c", "CMD", .text, "The command, for a shell.")
  private static let require = Option(
    "require", letter: "r", "WISHES", .text, "What it wants: 'mode: bynode; N: 5'.")
  private static let batch = Flag(
    "batch", letter: "b", "Submit each FILE and return; its output is in FILE.wqlog.")
  private static let files = Operand("FILE", .file, .many)

  private static let sub = CommandSpec(
    "sub", "Run a job file or a command.", operands: [files], options: [command, require, batch],
    forms: ["FILE", "-c CMD", "-b FILE…"],
    examples: [.init("wq sub -c hostname", "Run a command.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    if call[batch] {
      for file in call[files] { try submit(file, call, tools) }
      if call[files].isEmpty {
        throw .usage("sub: name a job file: type, for example, wq sub -b job.yaml")
      }
      return .success
    }
    if call[files].count + (call.has(command) ? 1 : 0) != 1 {
      throw .usage("sub: name one job file or -c CMD: type, for example, wq sub -c hostname")
    }
    return try run(call, tools)
  }

  private static func jobFile(
    _ path: String?, _ call: Call
  ) throws(CommandError) -> JobFile {
    try SubmitPlan.jobFile(path: path, require: call[require])
  }

  private static func submit(
    _ path: String, _ call: Call, _ tools: QueueTools
  ) throws(CommandError) {
    let job = try jobFile(path, call)
    guard let text = job.command else { throw .usage("sub: '\(printable(path))' has no command") }
    let words =
      job.sbatchWords + (try SubmitPlan.words(for: job.requirements, tools))
      + [
        "--output=\(path.split(separator: "/").isEmpty ? path : path).wqlog",
        "--job-name=\(job.jobName ?? firstWord(text))",
      ]
    let script = JobScript(
      .shell(text), runner: tools.runner, records: tools.records?.path,
      hostFile: job.requirements.hostFile, threads: job.requirements.threads)
    let number = try SubmitCommand.submit(
      Submission(words.map { ByteString($0) }, script: script.bytes), try tools.program("sbatch"),
      tools)
    try say("\(number)")
  }

  private static func firstWord(_ text: String) -> String {
    text.split { " \n\t".contains($0) }.first.map(String.init) ?? "wq"
  }

  /// In the foreground, with the terminal, in the current directory.
  private static func run(_ call: Call, _ tools: QueueTools) throws(CommandError) -> ExitCode {
    let job = try jobFile(call[files].first, call)
    guard let text = call[command] ?? job.command else {
      throw .usage("sub: the file has no command")
    }
    var wishes = job.requirements
    let forwardsX = wishes.forwardsX
    wishes.forwardsX = false
    if text.contains("%") && text.split(separator: "%").contains("hostfile") {
      throw .usage("sub: %hostfile% is for jobs in the background: wq sub -b FILE")
    }
    var words = job.sbatchWords + (try SubmitPlan.words(for: wishes, tools))
    words.append("--job-name=\(job.jobName ?? firstWord(text))")
    if forwardsX { words.append("--x11") }
    if isatty(STDIN_FILENO) == 1 { words.append("--pty") }
    // The command runs once, whatever it has.
    words += ["/bin/sh", "-c", text]
    try say(text)
    let srun = Program(
      path: try tools.program("srun"), arguments: (["srun"] + words).map { ByteString($0) },
      environment: nil, descriptors: [])
    do throws(SystemError) { try srun.replace() } catch {
      throw .failure("sub: run srun: \(error)")
    }
    return .failure
  }

  // MARK: ls, stat, rm, refresh

  private static let users = Option(
    "user", letter: "u", "U1,U2", .text, "Only the jobs of these users.")
  private static let full = Flag("full", letter: "f", "Show the hosts.")

  private static let ls = CommandSpec(
    "ls", "List the jobs of everybody.", options: [users, full]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let jobs: [JobInfo]
    do throws(SlurmError) { jobs = try tools.slurm.jobs(.all) } catch {
      throw .failure("ls: \(error)")
    }
    let wanted = try call[users].map { text throws(CommandError) in
      try QueueCommand.userNumbers(text)
    }
    let shown = jobs.filter { $0.phase != .over && wanted?.contains($0.user) ?? true }
    try say(WqList(jobs: shown, isFull: call[full], now: QueueTime.now).text)
    return .success
  }

  private static let stat = CommandSpec("stat", "Show the nodes.") { call throws(CommandError) in
    let tools = try QueueTools()
    do throws(SlurmError) {
      let nodes = try tools.slurm.nodes()
      let text = WqNodes(nodes: nodes).text
      StandardStream.output.write(line: text)
    } catch { throw .failure("stat: \(error)") }
    return .success
  }

  private static let pids = Operand("PID", .text, .some)

  private static let rm = CommandSpec(
    "rm", "Remove jobs.", operands: [pids], forms: ["PID…", "all"],
    examples: [.init("wq rm 12", "Remove job 12.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let words = call[pids]
    if words == ["all"] { return try tools.run("scancel", ["--user=\(String(getuid()))"]) }
    for word in words where JobReference(word) == nil {
      throw .usage("rm: '\(printable(word))' is no job: type, for example, wq rm 12")
    }
    return try tools.run("scancel", words.map { ByteString($0) })
  }

  private static let refresh = CommandSpec(
    "refresh", "Does nothing: Slurm needs no refreshing."
  ) { _ throws(CommandError) in .success }
}

/// wq's list, to the byte.
struct WqList {
  let jobs: [JobInfo]
  let isFull: Bool
  let now: Int

  var text: String {
    var rows = [
      [
        "Pid", "User", "Status", "Priority", "Ncores", isFull ? "Hosts" : "Nhosts", "Command",
        "t_in", "t_run",
      ]
    ]
    for job in jobs.sorted(by: { $0.id < $1.id }) { rows.append(cells(job)) }
    let running = jobs.count { $0.phase == .running }
    return WqList.lines(rows).map { " " + $0 }.joined(separator: "\n")
      + "\n Jobs: Running: \(running) Waiting: \(jobs.count - running)"
  }

  private func cells(_ job: JobInfo) -> [String] {
    let runs = job.phase == .running
    let hosts = isFull ? job.nodes : job.nodeCount.map { String($0) } ?? "-"
    return [
      job.label, Host.userName(of: job.user), runs ? "R" : "W",
      job.nice > 0 ? "low" : job.nice < 0 ? "high" : "med",
      runs ? job.cpus.map { String($0) } ?? "-" : "-", runs ? hosts : "-",
      printable(job.name.isEmpty ? "-" : job.name),
      WqList.span(now - (job.submitted ?? now)),
      runs ? WqList.span(now - (job.started ?? now)) : "-",
    ]
  }

  /// `12h50m27s`; units that are zero are left out.
  static func span(_ seconds: Int) -> String {
    let seconds = max(0, seconds)
    let parts = [
      (seconds / 86400, "d"), (seconds % 86400 / 3600, "h"), (seconds % 3600 / 60, "m"),
      (seconds % 60, "s"),
    ]
    let text = parts.filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined()
    return text.isEmpty ? "0s" : text
  }

  /// Columns as wide as needed, filled up to the end of the line.
  static func lines(_ rows: [[String]]) -> [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      row.indices.map { row[$0] + String(repeating: " ", count: widths[$0] - row[$0].count) }
        .joined(separator: " ")
    }
  }
}

/// wq's nodes, to the byte.
struct WqNodes {
  let nodes: [NodeInfo]

  var text: String {
    let rows = nodes.map { node in
      (
        usage: usage(node), host: node.name, memory: WqNodes.gigabytes(node.memory),
        groups: node.features.joined(separator: ",")
      )
    }
    let header = (usage: "usage", host: "host", memory: "mem", groups: "groups")
    let all = [header] + rows
    let widths = (
      all.map(\.usage.count).max() ?? 0, all.map(\.host.count).max() ?? 0,
      all.map(\.memory.count).max() ?? 0, all.map(\.groups.count).max() ?? 0
    )
    let lines = all.map { row in
      row.usage + spaces(widths.0 - row.usage.count + 2) + row.host
        + spaces(widths.1 - row.host.count + 1) + spaces(widths.2 - row.memory.count) + row.memory
        + " " + row.groups + spaces(widths.3 - row.groups.count)
    }
    let usable = nodes.filter(\.isUsable)
    let (used, cpus) = (usable.reduce(0) { $0 + $1.cpusUsed }, usable.reduce(0) { $0 + $1.cpus })
    let tenths = cpus > 0 ? (used * 1000 + cpus / 2) / cpus : 0
    return "\n" + lines.joined(separator: "\n")
      + "\n\nUsed cores: \(used)/\(cpus) (\(tenths / 10).\(tenths % 10)%)"
  }

  private func usage(_ node: NodeInfo) -> String {
    if !node.isUsable { return "[" + String(repeating: "X", count: node.cpus) + "]" }
    return "[" + String(repeating: "*", count: min(node.cpusUsed, node.cpus))
      + String(repeating: ".", count: max(0, node.cpus - node.cpusUsed)) + "]"
  }

  private func spaces(_ count: Int) -> String { String(repeating: " ", count: max(0, count)) }

  static func gigabytes(_ mebibytes: Int) -> String {
    let tenths = (mebibytes * 10 + 512) / 1024
    return tenths % 10 == 0 || tenths >= 1000
      ? String((tenths + 5) / 10) : "\(tenths / 10).\(tenths % 10)"
  }
}
