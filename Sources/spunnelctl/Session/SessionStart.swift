// spunnelctl session start, and session alone: submits the job, waits for it, attaches.

import Glibc
import SpunnelCLI
import SpunnelSession
import SpunnelSystem

/// The options of a start that are not sbatch's own.
enum StartOptions {
  private static let detach = Flag("detach", "Do not attach.")
  private static let notify = Flag(
    "notify", "Ring the terminal's bell when it starts; with --detach, have Slurm send mail.")
  private static let idle = Option(
    "idle", "TIME", time,
    "End the session after this time without an attached terminal and without computing.")
  private static let keep = Flag(
    "keep", "Let the session go on when its program has ended.")
  /// A shell is what a session holds without any of them.
  private static let flags = SessionKinds.all
    .filter { $0.argument == nil && $0.name != ShellKind.name }
    .map { (kind: $0.name, flag: Flag($0.name, $0.summary)) }
  private static let programs = SessionKinds.all.compactMap { kind in
    kind.argument.map { (kind: kind.name, option: Option(kind.name, $0, .text, kind.summary)) }
  }

  static var all: [any CommandOption] {
    flags.map { $0.flag } + programs.map { $0.option } + [detach, keep, idle, notify]
  }

  /// A time as sbatch takes one, in seconds.
  static let time = ValueKind<Int> { text throws(ValueError) in
    guard let seconds = SlurmTime.seconds(text), seconds > 0 else {
      throw ValueError(wanted: "a time, as in 30, 1:30:00 or 1-12")
    }
    return seconds
  }

  static func words(_ call: Call) throws(CommandError) -> StartWords {
    var words = StartWords()
    let kinds =
      flags.filter { call[$0.flag] }.map(\.kind)
      + programs.filter { call.has($0.option) }.map(\.kind)
    if kinds.count > 1 {
      throw .usage("\(call.name): --\(kinds[0]) and --\(kinds[1]): choose one")
    }
    words.kind = kinds.first ?? words.kind
    words.detaches = call[detach]
    words.notifies = call[notify]
    if let seconds = call[idle] { words.holderWords += ["--idle", String(seconds)] }
    if call[keep] {
      guard words.kind == GuiKind.name || words.kind == DesktopKind.name else {
        throw .usage("\(call.name): --keep goes with --gui or --desktop")
      }
      words.holderWords.append("--keep")
    }
    words.sbatchWords = call.foreign
    words.command = programs.compactMap { call[$0.option] }.map { ByteString($0) } + call.program
    return words
  }
}

enum SessionStart {
  static let spec = CommandSpec(
    "start", "Start a session, also when there is one.",
    options: StartOptions.all, foreignOptions: .sbatch, programWords: .init(.afterSeparator),
    details: """
      The words behind -- are what runs in the session, each as it is; without them it is your
      shell.
      """,
    examples: [
      .init("spunnelctl session start -c 4 -t 8:00:00 -J thesis", "Start a shell with four cores."),
      .init(
        "spunnelctl session start --detach -- ./train.sh", "Start a command, and do not attach."),
    ],
    exitStatuses: SessionCommand.statuses
  ) { call throws(CommandError) in
    try start(StartOptions.words(call))
  }

  static func start(_ words: StartWords) throws(CommandError) -> ExitCode {
    let programs = try Sessions.programs()
    if words.waits { return try submitAndWait(words, programs) }
    let needsTerminal = SessionKinds.named(words.kind)?.isSeenInBrowser != true
    if !words.detaches, needsTerminal, !Sessions.hasTerminal {
      throw .failure(
        "start a session: this is no terminal: add --detach, and attach from one later")
    }
    let job = try submit(words, programs)
    if words.detaches {
      remark(
        "spunnelctl: session \(job) is submitted: spunnelctl session \(job) attaches to it")
      try say(job)
      return .success
    }
    return try SessionAttach.attach(job, isNew: true, .alone, notifies: words.notifies)
  }

  /// - Returns: the job's number
  private static func submit(
    _ words: StartWords, _ programs: SessionPrograms
  ) throws(CommandError) -> String {
    let list = programs.sbatch(words, environment: Process.environment())
    let result = try Sessions.slurm("sbatch", list)
    let answer = SessionPrograms.submitted(result.output)
    for line in answer.others where result.succeeded { remark(printable(line)) }
    guard result.succeeded, let job = answer.job else {
      throw .failures(["start a session: sbatch: \(printable(result.lastLine))"])
    }
    return job
  }

  /// sbatch's own --wait: this process becomes sbatch, which ends with the job's exit status.
  private static func submitAndWait(
    _ words: StartWords, _ programs: SessionPrograms
  ) throws(CommandError) -> ExitCode {
    guard let path = Program.find("sbatch") else { throw .failure("sbatch: not found on PATH") }
    let environment = Process.environment()
    let program = Program(
      path: ByteString(path),
      arguments: ["sbatch"] + programs.sbatch(words, environment: environment),
      environment: SessionPrograms.environment(from: environment), descriptors: [])
    do throws(SystemError) { try program.replace() } catch { throw .failure("\(error)") }
    return .failure
  }
}

/// `session [NAME|JOB] [OPTION…]`
enum SessionRejoin {
  static let session = Operand("NAME|JOB", .session, .optional)

  static func run(_ call: Call) throws(CommandError) -> ExitCode {
    var typed = try StartOptions.words(call)
    let all = try Sessions.all()
    guard let word = call.first(session) else {
      return try follow(
        SessionChoice.choose(
          among: all, kind: typed.kind, hasTerminal: Sessions.hasTerminal), typed)
    }
    let found = SessionChoice.named(word, among: all)
    if found.count > 1 {
      return try follow(
        SessionChoice.choose(among: found, kind: nil, hasTerminal: Sessions.hasTerminal), typed)
    }
    if let job = found.first { return try join(job, typed) }
    if SessionChoice.isJobNumber(word) { throw Sessions.absent(word) }
    typed.sbatchWords.insert(contentsOf: ["-J", ByteString(word)], at: 0)
    return try SessionStart.start(typed)
  }

  private static func follow(
    _ choice: SessionChoice, _ typed: StartWords
  ) throws(CommandError) -> ExitCode {
    switch choice {
    case .attach(let job), .wait(let job): return try join(job, typed)
    case .attachOfSeveral(let job):
      Sessions.tell(last: job)
      return try join(job, typed)
    case .several(let jobs): throw Sessions.several(jobs)
    case .new: return try SessionStart.start(typed)
    }
  }

  /// What was asked for is not changed by what is there.
  private static func join(
    _ job: SessionJob, _ typed: StartWords
  ) throws(CommandError) -> ExitCode {
    guard typed.isPlain else {
      throw .failure(
        "rejoin session \(job.id): it exists already, \(job.state.lowercased()) with "
          + "\(job.cores ?? 1) cores\(job.memory.isEmpty ? "" : " and \(job.memory)"): leave the options "
          + "off to rejoin it, or start another with spunnelctl session start")
    }
    return try SessionAttach.attach(job.id, isNew: false, .alone, notifies: typed.notifies)
  }
}
