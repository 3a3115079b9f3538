// `spunnelctl logs`: the output of a job.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum LogsCommand {
  private static let job = Operand("JOB", ValueKind<JobReference>.queued)
  private static let follows = Flag(
    "follow", letter: "f", "Go on until the job ends, from before its start; exit as it does.")
  private static let errors = Flag(
    "error", letter: "e", "Show its standard error, where that is apart.")

  static let spec = CommandSpec(
    "logs", "Show what a job writes.", operands: [job], options: [follows, errors],
    examples: [.init("spunnelctl logs -f 12_3", "Follow a task of an array.")],
    exitStatuses: [
      ("0", "All was shown; with -f: the job ended well."), ("1", "There is nothing to show."),
      ("other", "With -f, the job's, as spunnelctl wait tells it."),
    ]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let reference = try call.required(job)
    let found = try tools.find(reference)
    if call[follows] { return try follow(reference, found, tools) }
    var status = ExitCode.success
    for job in found {
      if found.count > 1 { try say("==> job \(job.label) <==") }
      let path = call[errors] ? job.errorsPath ?? job.outputPath : job.outputPath
      if !(try show(path, job)) { status = .failure }
    }
    return status
  }

  private static func follow(
    _ reference: JobReference, _ found: [JobInfo], _ tools: QueueTools
  ) throws(CommandError) -> ExitCode {
    guard let job = found.first, found.count == 1, job.array == nil || reference.task != nil else {
      throw .failure(
        "follow job \(reference): it is an array: name a task, as in \(reference.job)_1")
    }
    let follower = LogFollower(tools.board, reference) { write($0) }
    let status = follower.follow(job) { remark("spunnelctl: \(printable($0))") }
    guard let status else { return unsafe isUnwritten ? .failure : .success }
    tellEnds([JobEnd(label: job.label, status: status)])
    return status.exitCode
  }

  private static func show(_ path: String, _ job: JobInfo) throws(CommandError) -> Bool {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
      while let bytes = try file.read(atMost: 1 << 16), !bytes.isEmpty {
        if !write(bytes) { return unsafe !isUnwritten }
      }
      return true
    } catch {
      let advice =
        job.phase == .pending
        ? "the job waits: spunnelctl logs -f \(job.label) follows it from its start"
        : "is the folder on this host?"
      throw .failure("show the log of job \(job.label): \(error): \(advice)")
    }
  }

  /// - Returns: false when nobody reads any more
  private static func write(_ bytes: [UInt8]) -> Bool {
    do throws(SystemError) {
      // Duplicated, because this process does not own its standard output.
      let output = FileDescriptor(owning: try check("dup") { dup(STDOUT_FILENO) })
      try output.writeAll(bytes)
      return true
    } catch {
      // head(1), for one, has read enough.
      if error.code != EPIPE {
        remark("spunnelctl: logs: write to standard output: \(error.reason)")
      }
      unsafe isUnwritten = error.code != EPIPE
      return false
    }
  }

  /// Whether output was lost.
  nonisolated(unsafe) private static var isUnwritten = false
}
