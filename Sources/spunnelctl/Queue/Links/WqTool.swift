// The program wq (github.com/esheldon/wq) on Slurm, with wq's own options and columns.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum WqTool {
  static let root = CommandSpec(
    "wq", "The work queue's commands, on Slurm.", sharedOptions: [port],
    details: """
      Slurm is the server: jobs go on without their client. wq serve makes a Slurm of your own over the hosts
      that you may log in to; until then the site's own is meant.
      """,
    examples: [.init("wq sub -c hostname", "Run a command.")],
    subcommands: [sub, ls, stat, rm, refresh, WqServe.spec])

  static let port = Option(
    "port", letter: "p", "PORT", .number(in: 1...65535),
    "Mean the server that was started with this port.")

  /// The tools for the queue that `-p` names.
  private static func tools(_ call: Call) throws(CommandError) -> QueueTools {
    try OwnQueue.wq(call[port]).tools()
  }

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
    let tools = try tools(call)
    if call[batch] {
      // What is wrong with one file keeps no other from being submitted.
      var problems: [String] = []
      for file in call[files] {
        do throws(CommandError) { try submit(file, call, tools) } catch {
          if call[files].count == 1 { throw error }
          if case .exit = error { throw error }
          problems += error.lines
        }
      }
      if !problems.isEmpty { throw .failures(problems) }
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
      Submission(
        words.map { ByteString($0) }, script: script.bytes, environment: tools.environment),
      try tools.program("sbatch"), tools)
    try say("\(number)")
  }

  private static func firstWord(_ text: String) -> String {
    text.split { " \n\t".contains($0) }.first.map(String.init) ?? "wq"
  }

  /// Runs the job in the foreground, with the terminal, in the current directory.
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
    try say(text)
    let line = try foregroundLine(
      words, text, isMany: wishes.runsManyTasks, forwardsX: forwardsX, tools)
    let program = Program(
      path: try tools.program(line[0]), arguments: line.map { ByteString($0) },
      environment: tools.environment, descriptors: [])
    do throws(SystemError) { try program.replace() } catch {
      throw .failure("sub: run \(line[0]): \(error)")
    }
    return .failure
  }

  /// The command that runs a job in the foreground.
  ///
  /// A job of one task runs by srun. A larger one runs by salloc: the command runs once, on the
  /// first node, with all resources of the job there. Other steps may run beside it.
  private static func foregroundLine(
    _ words: [String], _ text: String, isMany: Bool, forwardsX: Bool, _ tools: QueueTools
  ) throws(CommandError) -> [String] {
    var terminal: [String] = []
    if forwardsX { terminal.append("--x11") }
    if isatty(STDIN_FILENO) == 1 { terminal.append("--pty") }
    let command = [
      "/bin/sh", "-c",
      "echo \"executing on host ${SLURMD_NODENAME:-?}\" >&2; exec /bin/sh -c \"$1\"",
      "wq", text,
    ]
    if !isMany { return ["srun"] + words + terminal + command }
    let srun = try tools.program("srun").text
    return ["salloc"] + words + [srun, "--nodes=1", "--ntasks=1", "--overlap"]
      + terminal + command
  }

  // MARK: ls, stat, rm, refresh

  private static let users = Option(
    "user", letter: "u", "U1,U2", .text, "Only the jobs of these users.")
  private static let full = Flag("full", letter: "f", "Show the hosts.")

  private static let ls = CommandSpec(
    "ls", "List the jobs of everybody.", options: [users, full]
  ) { call throws(CommandError) in
    let tools = try tools(call)
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
    let tools = try tools(call)
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
    let tools = try tools(call)
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
