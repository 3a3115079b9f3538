// `spunnelctl submit`: submits jobs through the site's own sbatch.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum SubmitCommand {
  static let file = Option(
    "file", letter: "f", "JOB.yaml", .file, "Read the command and what it wants from a YAML file.")
  static let require = Option(
    "require", letter: "r", "WISHES", .text,
    "Say what the job wants as wq does: 'mode: bynode; N: 5'. It replaces what the file says.")
  static let lines = Option(
    "array-from", "FILE", .file,
    "Run a task of an array for each line of FILE: the line is $SPUNNEL_LINE, and the word {}.")
  static let pool = Option(
    "pool", "FILE", .file,
    "Run the command lines in FILE inside one allocation; -o and -e are the tasks' then.")
  static let retries = Option(
    "retries", "N", .number(in: 0...250), "Of --pool: run a task that failed again, so often.")
  static let taskTime = Option(
    "task-time", "TIME", .text, "Of --pool: begin no task when less time is left than this.")
  static let resumes = Flag("resume", "Of --pool: leave out what its log says is done.")
  static let resumesFailed = Flag(
    "resume-failed", "Of --pool: leave out what its log says has succeeded.")
  static let log = Option(
    "log", "FILE", .file, "Of --pool: where the log is (the list's name with .joblog behind it).")
  static let jobs = Option(
    "jobs", letter: "j", "N", .number(in: 1...4096),
    "Of --pool: run N tasks at once on each node (as many as Slurm gives).")
  static let nulls = Flag(
    "null", letter: "0", "Of --pool: the commands end with NUL bytes, not with lines.")
  static let waits = Flag(
    "wait", letter: "W", "Wait for the end, and exit with the job's own status.")
  static let dryRun = Flag(
    "dry-run", "Print the sbatch line that does the same, and when the job would start.")
  static let parsable = Flag("parsable", "Print the job's number alone.")
  static let personal = Flag(
    "personal", "Submit to a Slurm of your own; bring it up first if need be.")

  static let spec = CommandSpec(
    "submit", "Give Slurm a command to run.",
    options: [
      file, require, lines, pool, retries, taskTime, resumes, resumesFailed, log, jobs, nulls,
      waits,
      dryRun, parsable, personal, Output.json,
    ],
    foreignOptions: .sbatch, programWords: .init(.afterOperands, "CMD…"),
    details: """
      The words of CMD reach the program as they are; no shell reads them. If CMD is a script with
      #SBATCH lines, sbatch gets it as it is.

      A job file is a YAML mapping: command, which a shell runs, what it wants in wq's words (mode,
      N, threads, group, notgroup, min_cores, min_mem, host, hostfile, job_name, X, priority), and
      sbatch's options by their long names. What is typed counts more than --require, --require more
      than the file, the file more than the environment (SBATCH_*).
      """,
    examples: [
      .init("spunnelctl submit -n 4 ./simulate input", "Run a program on four cores."),
      .init("spunnelctl submit --wait -f job.yaml", "Run a job file, and exit as its job does."),
    ],
    exitStatuses: [
      ("0", "The job was submitted; with --wait: it ended well."),
      ("1", "It was not submitted."), ("2", "The command line makes no sense."),
      (
        "other",
        "With --wait, the job's: its code, 128 + a signal, 124 time limit, 125 not known, 126 could not start, 130 cancelled, 137 memory."
      ),
    ]
  ) { call throws(CommandError) in try run(call) }

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let tools = try QueueTools(
      environment: call[personal] ? try PersonalCluster.environment() : nil)
    let sbatch = try tools.program("sbatch")
    let plan = try SubmitPlan(call, tools)
    if call[dryRun] { return try tellPlan(plan, sbatch, tools) }
    let job = try submit(plan.submission(tools), sbatch, tools, poolLog: plan.poolLog)
    if !call[waits] || call[Output.json] || call[parsable] { try tell(job, call) }
    if !call[waits] { return .success }
    if !call[parsable], !call[Output.json] { remark("Submitted batch job \(job)") }
    Process.unblockSignals()
    var waiter = Waiter(tools.board, [JobReference(job: job)])
    let ends = waiter.wait { remark("spunnelctl: \(printable($0))") }
    tellEnds(ends)
    return Waiter.status(of: ends).exitCode
  }

  static func submit(
    _ submission: Submission, _ sbatch: ByteString, _ tools: QueueTools, poolLog: String? = nil
  ) throws(CommandError) -> UInt32 {
    let outcome: Submission.Outcome
    do throws(SystemError) { outcome = try submission.submit(sbatch: sbatch) } catch {
      throw .failure("submit: run sbatch: \(error)")
    }
    switch outcome {
    case .submitted(let job, _, let interrupted):
      note(job, submission, tools, poolLog)
      if let interrupted {
        remark("spunnelctl: submit: job \(job) was submitted: spunnelctl cancel \(job) cancels it")
        throw .exit(ExitCode(rawValue: 128 + interrupted))
      }
      return job
    case .refused(let status):
      let advice =
        tools.environment == nil && !PersonalCluster.hasSite ? ": \(PersonalCluster.advice)" : ""
      throw .failure(
        "submit: sbatch refused the job, and ended with status \(status): nothing was "
          + "submitted\(advice)")
    case .interrupted(let signal):
      remark(
        "spunnelctl: submit: sbatch was ended before it answered: spunnelctl queue tells of a job")
      throw .exit(ExitCode(rawValue: 128 + signal))
    }
  }

  /// Writes the record that `retry` needs. If it cannot be written, the job still runs.
  private static func note(
    _ job: UInt32, _ submission: Submission, _ tools: QueueTools, _ poolLog: String?
  ) {
    guard let records = tools.records else { return }
    let folder = (try? realPath(".")) ?? "/"
    let submitted = SubmittedJob(
      job: job, words: submission.words, scriptWords: submission.scriptWords,
      script: submission.script, folder: folder, poolLog: poolLog)
    // The record replaces that of an earlier job with the same number.
    do throws(SystemError) { try records.write("\(job).submit", submitted.text) } catch {
      remark("spunnelctl: note job \(job): \(error): retry and efficiency will not know it")
    }
    if job % 256 == 0 { records.sweep() }
  }

  private static func tell(_ job: UInt32, _ call: Call) throws(CommandError) {
    if call[Output.json] { return try Output(call).tell(SubmitReport(job: job)) }
    try say(call[parsable] ? "\(job)" : "Submitted batch job \(job)")
  }

  private static func tellPlan(
    _ plan: SubmitPlan, _ sbatch: ByteString, _ tools: QueueTools
  ) throws(CommandError)
    -> ExitCode
  {
    try say(plan.line)
    let submission = Submission(
      plan.words, scriptWords: plan.scriptWords, script: plan.testScript,
      environment: tools.environment)
    let said: Submission.Said
    do throws(SystemError) { said = try submission.test(sbatch: sbatch) } catch {
      throw .failure("submit: run sbatch: \(error)")
    }
    switch StartTest(status: said.status, output: said.output) {
    case .starts(_, let text): remark("It could start at \(text) at the earliest.")
    case .never(let why): throw .failure("submit: sbatch would refuse it: \(printable(why))")
    }
    return .success
  }
}

private struct SubmitReport: Report {
  let job: UInt32
  var text: String { "Submitted batch job \(job)" }
  var object: JSON { JSON(["job": .number(Int(job))]) }
}
