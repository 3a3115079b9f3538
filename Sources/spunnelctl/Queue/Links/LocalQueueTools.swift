// The programs of localq (github.com/dakl/localq): lbatch, lqueue, linfo, lcancel.
// LocalQueueDaemon.swift has localqd.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum LocalQueueTools {
  private static let cores = Option(
    nil, letter: "n", "N", .number(in: 1...10_000_000), "How many cores of one node.")
  private static let output = Option(nil, letter: "o", "FILE", .file, "Where its output goes.")
  private static let name = Option(nil, letter: "J", "NAME", .text, "Its name.")
  static let uri = Option(
    nil, letter: "u", "URIFILE", .file, "Mean the queue that localqd has written this file for.")
  private static let job = Option(nil, letter: "j", "N", ValueKind<JobReference>.queued, "The job.")

  static let lbatch = CommandSpec(
    "lbatch", "Add a job to the queue.", options: [cores, output, name, uri],
    programWords: .init(.afterOperands, "CMD…", isRequired: true),
    examples: [.init("lbatch -n 2 echo \"my two-core job\"", "Add a job with two cores.")]
  ) { call throws(CommandError) in
    let tools = try OwnQueue.localq(call[uri]).tools()
    let count = call[cores] ?? 1
    let nodes: [NodeInfo]
    do throws(SlurmError) { nodes = try tools.slurm.nodes() } catch {
      throw .failure("add the job: \(error)")
    }
    // Slurm would accept such a job and never start it.
    let most = nodes.map(\.cpus).max() ?? 0
    if count > most {
      throw .failure("add the job: -n \(count): the largest node has \(most) cores")
    }
    let first = call.program.first?.text.split(separator: "/").last.map(String.init) ?? "lbatch"
    let words = [
      "--nodes=1", "--ntasks=1", "--cpus-per-task=\(count)", "--open-mode=append",
      "--output=\(call[output] ?? "localq-%j-\(stamp()).out")", "--job-name=\(call[name] ?? first)",
    ]
    let script = JobScript(.words(call.program), runner: tools.runner, records: tools.records?.path)
    let number = try SubmitCommand.submit(
      Submission(
        words.map { ByteString($0) }, script: script.bytes, environment: tools.environment),
      try tools.program("sbatch"), tools)
    try say("Job added to the queue with id \(number)")
    return .success
  }

  /// The present time for a file name: `20261130T140500`.
  private static func stamp() -> String {
    Units.localTime(Clock.wallMilliseconds()).filter { $0 != "-" && $0 != ":" }
  }

  static let lqueue = CommandSpec(
    "lqueue", "List your jobs.", options: [uri], examples: [.init("lqueue", "List them.")]
  ) { call throws(CommandError) in
    let tools = try OwnQueue.localq(call[uri]).tools()
    var lines = ["JOBID\tPRIO\tSTATUS\tNUM_CORES\tSTART_TIME\tEND_TIME\tNAME\tCMD"]
    let jobs: [JobInfo]
    do throws(SlurmError) { jobs = try tools.slurm.jobs(.user(getuid())) } catch {
      throw .failure("list the jobs: \(error)")
    }
    for job in jobs.sorted(by: { $0.id < $1.id }) {
      lines.append(
        [
          job.label, String(job.priority ?? 0), word(job), String(job.cpus ?? 0),
          job.phase == .pending ? "-" : QueueTime.point(job.started),
          job.phase == .over ? QueueTime.point(job.ended) : "-", printable(job.name),
          printable(job.command.isEmpty ? job.name : job.command),
        ].joined(separator: "\t"))
    }
    try say(lines.joined(separator: "\n"))
    return .success
  }

  static let linfo = CommandSpec(
    "linfo", "Print the state of a job.", options: [job, uri],
    examples: [.init("linfo -j 1", "Print the state of job 1.")],
    exitStatuses: [("0", "The job is known."), ("1", "It is not: NOT_FOUND.")]
  ) { call throws(CommandError) in
    guard let reference = call[job] else {
      throw .usage("name a job: type, for example, linfo -j 1")
    }
    let tools = try OwnQueue.localq(call[uri]).tools()
    let found = reference.find(in: try tools.ask([reference]))
    if let job = found.first {
      try say(word(job))
      return .success
    }
    switch tools.board.recall(reference) {
    case .unknown:
      try say("NOT_FOUND")
      return .failure
    case .exited(0): try say("COMPLETED")
    case .cancelled: try say("CANCELLED")
    default: try say("FAILED")
    }
    return .success
  }

  static let lcancel = CommandSpec(
    "lcancel", "Cancel a job.", options: [job, uri],
    examples: [.init("lcancel -j 1", "Cancel job 1.")]
  ) { call throws(CommandError) in
    guard let reference = call[job] else {
      throw .usage("name a job: type, for example, lcancel -j 1")
    }
    let tools = try OwnQueue.localq(call[uri]).tools()
    let found = reference.find(in: try tools.ask([reference]))
    if found.isEmpty { throw .failure("cancel job \(reference): NOT_FOUND") }
    if found.allSatisfy({ $0.phase == .over }) {
      throw .failure("cancel job \(reference): it is over: \(word(found[0]))")
    }
    return try tools.run("scancel", [ByteString("\(reference)")])
  }

  private static func word(_ job: JobInfo) -> String {
    switch job.phase {
    case .pending: "PENDING"
    case .running: "RUNNING"
    case .over:
      switch JobStatus(job) {
      case .exited(0): "COMPLETED"
      case .cancelled: "CANCELLED"
      default: "FAILED"
      }
    }
  }

  static let roots = [lbatch, lqueue, linfo, lcancel, LocalQueueDaemon.root]
}
