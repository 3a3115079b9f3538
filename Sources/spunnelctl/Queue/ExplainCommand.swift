// `spunnelctl explain`: why a job waits and which change helps, or how a job ended.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum ExplainCommand {
  private static let job = Operand("JOB", ValueKind<JobReference>.queued)

  static let spec = CommandSpec(
    "explain", "Say why a job waits, and what would help.", operands: [job],
    options: [Output.json],
    details: """
      Each change is asked of Slurm by sbatch --test-only, which sees the jobs that run: a job starts
      no earlier than it says.
      """,
    examples: [.init("spunnelctl explain 12", "Say why job 12 waits.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let reference = try call.required(job)
    guard let job = try tools.find(reference).first else { return .failure }
    let report: ExplainReport
    switch job.phase {
    case .over: report = ended(job, tools)
    case .running: report = ExplainReport(job: job, lines: ["It runs on \(job.nodes)."])
    case .pending: report = try waiting(job, tools)
    }
    try Output(call).tell(report)
    return .success
  }

  private static func waiting(_ job: JobInfo, _ tools: QueueTools) throws(CommandError)
    -> ExplainReport
  {
    let reason = ReasonWords(reason: job.reason, explanation: job.explanation)
    var lines = [
      reason.isImpossible ? "It can never run: \(reason.meaning)." : "It waits: \(reason.meaning)."
    ]
    if !job.explanation.isEmpty { lines.append("Slurm says: \(printable(job.explanation)).") }
    if !reason.advice.isEmpty { lines.append("What helps: \(reason.advice).") }
    lines += try ahead(of: job, tools)
    let sbatch = try tools.program("sbatch")
    let gains: Gains
    let partitions: [PartitionInfo]
    do throws(SlurmError) { partitions = try tools.slurm.partitions() } catch {
      throw .failure("explain: \(error)")
    }
    let wishes = JobWishes(job)
    do throws(SystemError) {
      gains = try Gains(
        wishes, wishes.changes(partitions), impossible: reason.isImpossible ? reason.meaning : nil
      ) { words throws(SystemError) in
        let test = Submission(
          words.map { ByteString($0) }, script: Array("#!/bin/sh\n".utf8),
          environment: tools.environment)
        let said = try test.test(sbatch: sbatch)
        return StartTest(status: said.status, output: said.output)
      }
    } catch { throw .failure("explain: run sbatch: \(error)") }
    if !reason.isForever, let planned = job.started {
      lines.append("Slurm plans to start it at \(QueueTime.point(planned)).")
    }
    switch gains.asItIs {
    case .starts(_, let text) where !reason.isForever:
      lines.append("It could start no earlier than \(text).")
    case .never(let why) where !reason.isImpossible:
      lines.append("As it is it can never run: \(printable(why)).")
    default: break
    }
    for gain in gains.gains {
      let tail =
        gain.seconds.map {
          " instead of \(QueueTime.point(gain.start + $0)), \(QueueTime.span($0)) earlier"
        } ?? ""
      let option =
        gain.option.hasPrefix("-") ? "With \(gain.option)" : "Without" + gain.option.dropFirst(7)
      lines.append("\(option) it could start at \(QueueTime.point(gain.start))\(tail).")
    }
    if gains.gains.isEmpty, !reason.isForever || reason.isImpossible {
      lines.append("No single change of it that was asked of Slurm helps.")
    }
    return ExplainReport(job: job, lines: lines, gains: gains.gains)
  }

  /// The users whose jobs come first in the job's partition.
  private static func ahead(of job: JobInfo, _ tools: QueueTools) throws(CommandError) -> [String] {
    guard let priority = job.priority else { return [] }
    var users: [uid_t: Int] = [:]
    do throws(SlurmError) {
      try tools.slurm.eachJob(
        .all, columns: ["id", "user", "phase", "partition", "priority"]
      ) { record in
        guard record.text("phase") == "pending", record.text("partition") == job.partition,
          let other = record.number("priority"), other > priority, let user = record.number("user")
        else { return }
        users[uid_t(user), default: 0] += 1
      }
    } catch { throw .failure("explain: \(error)") }
    let count = users.values.reduce(0, +)
    if count == 0 { return [] }
    let names = users.sorted { $0.value > $1.value }.prefix(3)
      .map { "\(Host.userName(of: $0.key)) (\($0.value))" }
    return ["Ahead of it: \(Units.count(count, "job")), of \(names.joined(separator: ", "))."]
  }

  private static func ended(_ job: JobInfo, _ tools: QueueTools) -> ExplainReport {
    tools.board.note(job)
    let status = JobStatus(job)
    let story = JobStory(job: job, run: tools.board.run(job.label))
    var lines = ["It is over: \(status.words)."]
    switch status {
    case .outOfTime:
      if case .of(let minutes) = job.limit {
        lines.append(
          "Its limit was \(QueueTime.span(minutes * 60)): give it more, as in --time=\(minutes * 2)."
        )
      }
    case .outOfMemory, .killed(signal: 9): lines += memoryAdvice(story)
    case .notStarted:
      lines.append(
        "Its output is '\(job.outputPath)', in '\(job.folder)': can it be written from the nodes?")
    case .exited(let code) where code != 0:
      lines.append("Its output says more: spunnelctl logs \(job.label).")
      if code == 127 { lines.append("127 is how a shell says that it did not find the program.") }
    default: break
    }
    if let used = story.efficiency { lines.append("It used \(used.words).") }
    return ExplainReport(job: job, lines: lines)
  }

  private static func memoryAdvice(_ story: JobStory) -> [String] {
    let job = story.job
    let had =
      job.memoryPerNode.flatMap { $0 > 0 ? "\(Units.byteCount($0 << 20)) a node" : nil }
      ?? job.memoryPerCPU.map { "\(Units.byteCount($0 << 20)) a CPU" }
    if let limit = MemoryKill(job) {
      let wanted = max((limit.peak / 4 * 5) >> 20, 1)
      return [
        "Slurm killed it for its memory: it used \(Units.byteCount(limit.peak)), and its limit was "
          + "\(Units.byteCount(limit.limit)): give it more, as in --mem=\(wanted)M."
      ]
    }
    let noted = story.run.map { $0.peakKiB << 10 } ?? 0
    let peak = noted > 0 ? Units.byteCount(noted) : "not known"
    let isCertain = JobStatus(job) == .outOfMemory
    return [
      (isCertain ? "It ran out of memory" : "Signal 9 often means memory")
        + ": its peak was \(peak), its limit \(had ?? "not known"): give it more by --mem."
    ]
  }
}

struct ExplainReport: Report {
  let job: JobInfo
  let lines: [String]
  var gains: [Gain] = []

  var text: String {
    (["Job \(job.label) (\(printable(job.name))): \(job.state)"] + lines).joined(separator: "\n")
  }

  var object: JSON {
    JSON([
      "job": .string(job.label), "state": .string(job.state), "reason": .string(job.reason),
      "lines": .strings(lines),
      "changes": .array(
        gains.map { gain in
          JSON([
            "option": .string(gain.option), "start": .number(gain.start),
            "gain_s": .number(gain.seconds),
          ])
        }),
    ])
  }
}
