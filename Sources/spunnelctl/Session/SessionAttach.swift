// spunnelctl session attach: waits until the session runs, then shows it by srun at this terminal.

import Glibc
import SpunnelCLI
import SpunnelSession
import SpunnelSystem
import SpunnelTunnel

enum SessionAttach {
  /// Milliseconds in which the end of a job explains the end of srun.
  private static let patience = 3000

  private static let session = Operand("NAME|JOB", .session, .optional)
  private static let share = Flag("share", "Leave the terminals that are attached.")
  private static let readOnly = Flag("read-only", "The same, and this terminal only looks.")
  private static let browser = Flag("browser", "Open a browser of this host on its page.")
  private static let viewer = Flag("viewer", "Open vncviewer of this host on a desktop.")

  static let spec = CommandSpec(
    "attach", "Attach to a session that is there.",
    operands: [session], options: [share, readOnly, browser, viewer],
    examples: [.init("spunnelctl session attach --share", "Look at it beside others.")],
    exitStatuses: SessionCommand.statuses
  ) { call throws(CommandError) in
    let job = try Sessions.one(call.first(session))
    let manner: AttachManner = call[readOnly] ? .readOnly : call[share] ? .share : .alone
    let view: SessionPicture = call[viewer] ? .viewer : call[browser] ? .browser : .address
    return try attach(job.id, isNew: false, manner, notifies: false, view)
  }

  /// - Parameters:
  ///   - job: a number
  ///   - isNew: whether it was submitted a moment ago by this command
  ///   - notifies: whether the bell rings when it starts
  ///   - picture: how a session is seen that has no terminal
  static func attach(
    _ job: String, isNew: Bool, _ manner: AttachManner, notifies: Bool,
    _ picture: SessionPicture = .address
  ) throws(CommandError) -> ExitCode {
    let kind = try Sessions.ask(job).flatMap { SessionKinds.named($0.kind) }
    guard Sessions.hasTerminal || kind?.isSeenInBrowser == true else {
      throw .failure("attach to session \(job): this is no terminal: attach from one")
    }
    let programs = try Sessions.programs()
    guard let session = try SessionWait(job: job, isNew: isNew).run(notifies: notifies) else {
      return .success
    }
    // A comment of the user's own stays.
    if session.comment == SessionMark.comment || !session.lastAttached.isEmpty { note(job) }
    if let kind, kind.isSeenInBrowser {
      try show(try SessionView(session, kind), picture)
      guard Sessions.hasTerminal else { return .success }
    } else if picture != .address {
      throw .failure(
        "view session \(job): a session of kind \(session.kind) is at the terminal alone")
    }
    let (status, said) = try show(programs.attach(job: job, manner))
    if status != 0 { try explain(job, status, said) }
    return .success
  }

  private static func show(
    _ view: SessionView, _ picture: SessionPicture
  ) throws(CommandError) {
    switch picture {
    case .address: _ = try view.tell()
    case .browser: try SessionViewer.browse(try view.tell())
    case .viewer: try view.startViewer()
    }
  }

  /// Runs srun in the terminal's foreground, until the user leaves or the session ends.
  ///
  /// - Returns: its exit status, and what it said
  private static func show(
    _ words: [String]
  ) throws(CommandError) -> (status: CInt, said: [String]) {
    guard let path = Program.find("srun") else { throw .failure("srun: not found on PATH") }
    let program = Program(
      path, words, environment: SessionPrograms.environment(from: Process.environment()))
    // What the keyboard sends is for the session; srun's own terminal is raw once it stands.
    for number in [SIGINT, SIGQUIT, SIGTSTP] { _ = signal(number, SIG_IGN) }
    defer { for number in [SIGINT, SIGQUIT, SIGTSTP] { _ = signal(number, SIG_DFL) } }
    do throws(SystemError) {
      let errors = try FileDescriptor.pipe(childHas: .writer)
      switch try Process.fork(parentDeathSignal: SIGTERM) {
      case .child:
        for number in [SIGINT, SIGQUIT, SIGTSTP] { _ = signal(number, SIG_DFL) }
        // Its words about the end of a job would be written across the screen.
        _ = dup2(errors.writer.raw, STDERR_FILENO)
        try program.replace()
        return (126, [])
      case .parent(let child):
        close(errors.writer)
        let said = listen(errors.reader)
        var status: CInt = 0
        try check("waitpid") { unsafe waitpid(child, &status, 0) }
        return (Process.exitCode(status), said)
      }
    } catch { throw .failure("\(error)") }
  }

  private static func close(_ end: consuming FileDescriptor) { _ = consume end }

  /// What srun says until its end. Why it cannot begin is told at once.
  private static func listen(_ errors: consuming FileDescriptor) -> [String] {
    var said: [String] = []
    var rest = ""
    while errors.waitReadable(milliseconds: -1), let more = try? errors.read(atMost: 4096),
      !more.isEmpty
    {
      rest += String(decoding: more, as: UTF8.self)
      while let end = rest.firstIndex(of: "\n") {
        let line = printable(rest[..<end])
        rest.removeSubrange(...end)
        if line.hasPrefix("srun: Job ") { remark(line) } else { said.append(line) }
      }
    }
    return said
  }

  /// Notes when somebody attached, where every login host sees it. Nobody waits for that.
  private static func note(_ job: String) {
    guard let scontrol = Program.find("scontrol"),
      let nothing = try? FileDescriptor.open("/dev/null", O_RDWR)
    else { return }
    let mark = SessionMark.attached + timestamp(Clock.wallMilliseconds())
    var program = Program(
      scontrol, ["update", "JobId=\(job)", "Comment=\(mark)"],
      environment: SessionPrograms.environment(from: Process.environment()))
    program.descriptors = [nothing.raw, nothing.raw, nothing.raw]
    try? program.startDetached()
  }

  /// srun has failed: by the end of the job, or before.
  private static func explain(
    _ job: String, _ status: CInt, _ said: [String]
  ) throws(CommandError) {
    // The job's end reaches its steps before Slurm tells of it.
    let end = Clock.milliseconds() + patience
    repeat {
      guard let session = try Sessions.ask(job), session.phase == .running else {
        return try SessionWait.ended(job)
      }
      usleep(200_000)
    } while Clock.milliseconds() < end
    let reason = said.last.map { ": \($0)" } ?? ""
    throw .failure(
      "attach to session \(job): srun ended with status \(status)\(reason): the session goes on: "
        + "spunnelctl session \(job) tries again")
  }
}

/// How a session is seen that has no terminal.
enum SessionPicture {
  /// The address is printed.
  case address
  case browser
  /// A program of the kind's own.
  case viewer
}
