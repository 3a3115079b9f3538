// qconnect: sessions by the letters that qconnect had.

import Glibc
import SpunnelCLI
import SpunnelSession
import SpunnelSlurm
import SpunnelSystem

enum QconnectCommand {
  /// Exit statuses that qconnect had besides 0, 1 and 2.
  private enum Status {
    static let endedWhileWaiting = ExitCode(rawValue: 3)
    static let held = ExitCode(rawValue: 10)
    static let viewerMissing = ExitCode(rawValue: 255)
  }

  private static let operand = Operand("JOB", .session, .optional)
  private static let job = Option("job_id", letter: "j", "JOB", .session, "Attach to this job.")
  private static let picture = Option(
    "connect-gui", "JOB", .session, "Show the programs of this job's shell.")
  private static let lists = Flag("list", letter: "l", "List the running interactive jobs.")
  private static let creates = Flag("create", letter: "c", "Start a job, also when there is one.")
  private static let gui = Option("gui", letter: "g", "EXE", .text, "Start this graphical program.")
  private static let vnc = Flag("vnc", "Start a desktop, or attach to one.")
  private static let name = Option("name", letter: "n", "NAME", .text, "Name the job.")
  private static let cores = Option(
    "cores", letter: "t", "CORES", .number(in: 1...100_000), "Ask for so many cores (1).")
  private static let memory = Option(
    "mem", letter: "m", "GB", .text, "Ask for so much memory (4 GB a core).")
  private static let verbose = Flag("verbose", letter: "v", "Print sbatch's command line.")

  static let spec = CommandSpec(
    "qconnect", "Sessions by the letters that qconnect had; see spunnelctl session.",
    operands: [operand],
    options: [job, lists, creates, gui, vnc, picture, name, cores, memory, verbose],
    exitStatuses: [
      ("0", "The session was left, or ended well."),
      ("1", "The memory is no number, the submission failed, or the job is not there."),
      ("2", "The command line makes no sense."), ("3", "The job ended while it was waited for."),
      ("10", "The job is held or ending."), ("255", "A viewer is missing."),
    ], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let sessions = try Sessions.all()
    if call[lists] {
      try say(list(sessions))
      return .success
    }
    if let job = call[picture] {
      remark(
        "qconnect: show job \(printable(job)): spunnelctl session --gui CMD inside it shows programs"
      )
      return Status.viewerMissing
    }
    if call.has(gui), call[vnc] { throw .usage("--gui and --vnc: choose one") }
    if let word = call.first(operand) ?? call[job] {
      guard let job = SessionChoice.named(word, among: sessions).first else {
        return try ending(word)
      }
      return try join(job)
    }
    let kind: QconnectKind = call[vnc] ? .vnc : call.has(gui) ? .gui : .tmux
    if !call[creates], let job = Qconnect.choose(among: sessions, kind) { return try join(job) }
    return try create(call, kind)
  }

  /// A job that is not there any more, or never was.
  private static func ending(_ word: String) throws(CommandError) -> ExitCode {
    guard let job = try Sessions.ask(word), job.state == "COMPLETING" else {
      throw Sessions.absent(word)
    }
    remark("qconnect: job \(job.id) is ending")
    return Status.held
  }

  static func list(_ sessions: [SessionJob]) -> String {
    var table = Table(["Job_ID", "Job_Name", "Job_Type", "Queue", "Node", "State"])
    for job in sessions {
      table.add([
        job.id, job.name, QconnectKind(session: job.kind)?.rawValue ?? job.kind, job.partition,
        job.node, Qconnect.state(job),
      ])
    }
    return table.text
  }

  /// A session that was queued when it was joined is joined when it starts, and no second one is submitted.
  private static func join(_ job: SessionJob) throws(CommandError) -> ExitCode {
    if Qconnect.isHeld(job) {
      remark("qconnect: job \(job.id) is held: scontrol release \(job.id) releases it")
      return Status.held
    }
    let wasPending = job.phase == .pending
    do throws(CommandError) {
      return try SessionAttach.attach(job.id, isNew: false, .alone, notifies: false)
    } catch {
      guard wasPending, case .failure = error, let now = try? Sessions.ask(job.id),
        now.phase == .over
      else { throw error }
      for line in error.lines { remark("qconnect: \(line)") }
      return Status.endedWhileWaiting
    }
  }

  private static func create(_ call: Call, _ kind: QconnectKind) throws(CommandError) -> ExitCode {
    guard SessionKinds.named(kind.session) != nil else {
      remark("qconnect: sessions of kind \(kind.rawValue) are not installed here")
      return Status.viewerMissing
    }
    let count = call[cores] ?? 1
    var size = 4 * count
    if let text = call[memory] {
      guard let gigabytes = Qconnect.gigabytes(text) else {
        throw .failure("start a job: -m '\(printable(text))': write gigabytes, as in -m 16")
      }
      size = gigabytes
    }
    var words = StartWords()
    words.kind = kind.session
    let name = Qconnect.jobName(call[QconnectCommand.name], program: call[gui], kind)
    words.sbatchWords =
      ["-J", ByteString(name), "-c", ByteString(String(count)), "--mem=\(size)G"]
      + (hasPartition ? ["-p", "interactive"] : [])
    if let program = call[gui] { words.command = [ByteString(program)] }
    if call[verbose] {
      let line = try Sessions.programs().sbatch(words, environment: Process.environment())
      remark("qconnect: sbatch " + line.map { printable($0.text) }.joined(separator: " "))
    }
    return try SessionStart.start(words)
  }

  /// Whether the site has the partition that qconnect's jobs went to, and the user wants no other.
  private static var hasPartition: Bool {
    if Process.environment("SBATCH_PARTITION") != nil { return false }
    guard let programs = try? Sessions.programs() else { return false }
    let slurm = SlurmHelper(path: programs.folder + "/spunnel-jobs")
    return (try? slurm.partitions())?.contains { $0.name == "interactive" } ?? false
  }
}
