// `spunnelctl cancel`, `set` and `retry`: change jobs through Slurm's own programs.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum CancelCommand {
  private static let jobs = Operand("JOB", ValueKind<JobReference>.queued, .many)
  private static let all = Flag("all", "Cancel all of your jobs.")

  static let spec = CommandSpec(
    "cancel", "Cancel jobs.", operands: [jobs], options: [all], forms: ["JOB…", "--all"],
    examples: [.init("spunnelctl cancel 12 13_4", "Cancel a job and a task of an array.")],
    exitStatuses: [("0", "scancel took it."), ("1", "scancel refused, or knows no such job.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let wanted = call[jobs]
    if call[all] {
      if !wanted.isEmpty { throw .usage("cancel: name jobs, or --all, and not both") }
      return try tools.run("scancel", ["--user=\(String(getuid()))"])
    }
    if wanted.isEmpty {
      throw .usage("cancel: name a job: type, for example, spunnelctl cancel 12")
    }
    // scancel also exits with 0 for a job that is over or unknown, so Slurm is asked first.
    let known = try tools.ask(wanted)
    var problems: [String] = []
    for reference in wanted {
      let found = reference.find(in: known)
      if found.isEmpty {
        problems.append("cancel job \(reference): Slurm has no such job now")
      } else if found.allSatisfy({ $0.phase == .over }) {
        problems.append("cancel job \(reference): it is over: \(found[0].state)")
      }
    }
    let status = try tools.run("scancel", wanted.map { ByteString("\($0)") })
    if !problems.isEmpty { throw .failures(problems) }
    return status
  }
}

enum SetCommand {
  private static let jobs = Operand("JOB", ValueKind<JobReference>.queued, .some)
  private static let keys: [(option: Option<String>, key: String)] = [
    (
      Option("time", letter: "t", "TIME", .text, "Its time limit, as sbatch reads it."), "TimeLimit"
    ),
    (Option("nice", "N", .text, "How far others go first."), "Nice"),
    (Option("partition", letter: "p", "NAME", .text, "Its partition."), "Partition"),
    (
      Option("dependency", letter: "d", "LIST", .text, "What it waits for; empty: nothing."),
      "Dependency"
    ),
    (Option("constraint", letter: "C", "LIST", .text, "The features of its nodes."), "Features"),
    (Option("job-name", letter: "J", "NAME", .text, "Its name."), "JobName"),
    (Option("comment", "TEXT", .text, "Its comment."), "Comment"),
  ]
  private static let hold = Flag("hold", letter: "H", "Keep it from starting.")
  private static let release = Flag("release", "Let it start again.")

  static let spec = CommandSpec(
    "set", "Change jobs that wait or run.", operands: [jobs],
    options: keys.map { $0.option } + [hold, release],
    details: "scontrol makes the change, and says why it does not.",
    examples: [.init("spunnelctl set 12 --time 30", "Give it half an hour.")]
  ) { call throws(CommandError) in
    let changes = keys.compactMap { entry in call[entry.option].map { "\(entry.key)=\($0)" } }
    if changes.isEmpty, !call[hold], !call[release] {
      throw .usage("set: name a change: type, for example, spunnelctl set 12 --time 30")
    }
    let tools = try QueueTools()
    var status = ExitCode.success
    for job in call[jobs] {
      if !changes.isEmpty {
        let words = ["update", "JobId=\(job)"] + changes
        let result = try tools.run("scontrol", words.map { ByteString($0) })
        if result != .success { status = result }
      }
      for (flag, word) in [(hold, "hold"), (release, "release")] where call[flag] {
        let result = try tools.run("scontrol", [ByteString(word), ByteString("\(job)")])
        if result != .success { status = result }
      }
    }
    return status
  }
}

enum RetryCommand {
  private static let job = Operand("JOB", ValueKind<JobReference>.queued)
  private static let failed = Flag("failed", "Only the tasks of the array that did not end well.")
  private static let waits = Flag(
    "wait", letter: "W", "Wait for the end, and exit as the job does.")

  static let spec = CommandSpec(
    "retry", "Submit a job once more, as it was.", operands: [job],
    options: [failed, waits, SubmitCommand.parsable],
    details: "The job was submitted by spunnelctl submit, which notes how.",
    examples: [.init("spunnelctl retry 12 --failed", "Run the tasks again that failed.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let reference = try call.required(job)
    guard let text = tools.records?.read("\(reference.job).submit"),
      let submitted = SubmittedJob(text)
    else {
      throw .failure(
        "retry job \(reference): there is no record of how it was submitted: submit it again")
    }
    var words = submitted.words
    if let tasks = try tasks(reference, call[failed], submitted, tools) {
      words.append(ByteString("--array=\(tasks)"))
    }
    do throws(SystemError) {
      try check("chdir \(submitted.folder)") { unsafe chdir(submitted.folder) }
    } catch {
      throw .failure("retry job \(reference): \(error)")
    }
    let submission = Submission(
      words, scriptWords: submitted.scriptWords, script: submitted.script,
      environment: tools.environment)
    let new = try SubmitCommand.submit(submission, try tools.program("sbatch"), tools)
    try say(call[SubmitCommand.parsable] ? "\(new)" : "Submitted batch job \(new)")
    Process.unblockSignals()
    if !call[waits] { return .success }
    var waiter = Waiter(tools.board, [JobReference(job: new)])
    let ends = waiter.wait { remark("spunnelctl: \(printable($0))") }
    tellEnds(ends)
    return Waiter.status(of: ends).exitCode
  }

  /// The tasks to run again; `nil` for the whole job.
  private static func tasks(
    _ reference: JobReference, _ onlyFailed: Bool, _ submitted: SubmittedJob, _ tools: QueueTools
  ) throws(CommandError) -> String? {
    if let task = reference.task { return String(task) }
    if !onlyFailed { return nil }
    let jobs = reference.find(in: try tools.ask([reference]))
    if jobs.contains(where: { $0.phase != .over }) {
      throw .failure(
        "retry job \(reference): it is not over: spunnelctl wait \(reference) waits for it")
    }
    var waiter = Waiter(tools.board, [reference])
    let ends = waiter.wait { _ in }
    let failed = ends.filter { $0.status.code != 0 }
    if failed.isEmpty { throw .failure("retry job \(reference): nothing of it failed") }
    if submitted.arrayList == nil { return nil }
    return failed.compactMap { JobReference($0.label)?.task }.map { String($0) }.joined(
      separator: ",")
  }
}
