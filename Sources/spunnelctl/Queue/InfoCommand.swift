// `spunnelctl info`: everything about a job. `spunnelctl efficiency`: what it used of what it had.

import SpunnelCLI
import SpunnelPool
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum InfoCommand {
  private static let job = Operand("JOB", ValueKind<JobReference>.queued)

  static let spec = CommandSpec(
    "info", "Show all about a job.", operands: [job], options: [Output.json],
    examples: [.init("spunnelctl info 12", "Show all about job 12.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let reference = try call.required(job)
    let found = try tools.find(reference)
    let stories = found.map { job in
      if job.phase == .over { tools.board.note(job) }
      return JobStory(
        job: job, run: tools.board.run(job.label), pool: tools.poolProgress(job.label)?.line)
    }
    try Output(call).tell(InfoReport(stories: stories))
    return .success
  }
}

/// A job, and the records of it.
struct JobStory {
  let job: JobInfo
  let run: RunNote?
  /// The progress of a pool; `nil` for other jobs.
  var pool: String?

  var efficiency: Efficiency? {
    guard let run, let ended = run.ended, ended >= run.begun else { return nil }
    let memory =
      job.memoryPerNode.map { $0 << 10 }
      ?? job.memoryPerCPU.flatMap { each in
        job.cpus.map { (each * $0 / max(1, job.nodeCount ?? 1)) << 10 }
      }
    return Efficiency(
      elapsed: ended - run.begun, cpus: job.cpus ?? 1,
      cpuMilliseconds: run.userMilliseconds + run.systemMilliseconds, peakKiB: run.peakKiB,
      memoryKiB: memory.flatMap { $0 > 0 ? $0 : nil })
  }
}

struct InfoReport: Report {
  let stories: [JobStory]

  var text: String { stories.map { text($0) }.joined(separator: "\n\n") }

  private func text(_ story: JobStory) -> String {
    lines(story).filter { !$0.1.isEmpty }.map { key, value in
      key + String(repeating: " ", count: max(1, 12 - key.count)) + printable(value, atMost: 4096)
    }.joined(separator: "\n")
  }

  private func lines(_ story: JobStory) -> [(String, String)] {
    let job = story.job
    let memory =
      job.memoryPerNode.map { "\(Units.byteCount($0 << 20)) a node" }
      ?? job.memoryPerCPU.map { "\(Units.byteCount($0 << 20)) a CPU" } ?? ""
    var lines = [
      ("job", job.label), ("name", job.name), ("user", Host.userName(of: job.user)),
      ("account", job.account), ("state", job.state), ("reason", job.reason),
      ("partition", job.partition), ("qos", job.qos), ("nodes", job.nodes),
      (
        "count",
        job.nodeCount.map { Units.count($0, "node") + ", " + Units.count(job.cpus ?? 0, "CPU") }
          ?? ""
      ),
      ("memory", memory), ("gres", job.gres), ("features", job.features),
      ("dependency", job.dependency), ("submitted", QueueTime.point(job.submitted)),
      (job.phase == .pending ? "starts at" : "started", QueueTime.point(job.started)),
      (
        job.phase == .over ? "ended" : "ends by",
        job.phase == .pending ? "" : QueueTime.point(job.ended)
      ),
      ("limit", QueueTime.limit(job.limit)), ("folder", job.folder), ("output", job.outputPath),
      ("errors", job.errorsPath ?? ""), ("command", job.command), ("comment", job.comment),
      ("restarts", job.restarts > 0 ? String(job.restarts) : ""),
    ]
    if job.phase == .over {
      lines.append(("status", "\(JobStatus(job).code) (\(JobStatus(job).words))"))
    }
    if let pool = story.pool { lines.append(("pool", pool)) }
    if let efficiency = story.efficiency { lines.append(("used", efficiency.words)) }
    return lines
  }

  var object: JSON {
    JSON([
      "jobs": .array(
        stories.map { story in
          let job = story.job
          return job.json(now: QueueTime.now).adding([
            "folder": .string(job.folder), "output": .string(job.outputPath),
            "command": .string(job.command), "comment": .string(job.comment),
            "features": .string(job.features), "qos": .string(job.qos),
            "memory_per_node_mib": .number(job.memoryPerNode),
            "memory_per_cpu_mib": .number(job.memoryPerCPU), "restarts": .number(job.restarts),
            "pool": .string(story.pool),
            "cpu_ms": .number(story.efficiency?.cpuMilliseconds),
            "peak_kib": .number(story.efficiency?.peakKiB),
          ])
        })
    ])
  }
}

extension Efficiency {
  var words: String {
    var words =
      "\(QueueTime.span(cpuMilliseconds / 1000)) of processor time in \(QueueTime.span(elapsed))"
    if let cpuShare { words += " on \(Units.count(cpus, "CPU")) (\(cpuShare)%)" }
    words += ", \(Units.byteCount(peakKiB << 10)) of memory"
    if let memoryKiB, let memoryShare {
      words += " of \(Units.byteCount(memoryKiB << 10)) (\(memoryShare)%)"
    }
    return words
  }
}

enum EfficiencyCommand {
  private static let job = Operand("JOB", ValueKind<JobReference>.queued)

  static let spec = CommandSpec(
    "efficiency", "Show what a job has used of what it had.", operands: [job],
    options: [Output.json],
    details: """
      The job was submitted by spunnelctl submit: a program on the node notes its processor time and
      the memory of its largest process on the first node. Other nodes are not counted.
      """,
    examples: [.init("spunnelctl efficiency 12", "Show it of job 12.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let reference = try call.required(job)
    let stories = try tools.find(reference).map {
      JobStory(job: $0, run: tools.board.run($0.label))
    }
    let known = stories.filter { $0.efficiency != nil }
    if known.isEmpty {
      throw .failure(
        stories.contains { $0.job.phase != .over }
          ? "efficiency of job \(reference): it is not over yet"
          : "efficiency of job \(reference): nothing is noted of what it used: was it submitted by "
            + "spunnelctl submit?")
    }
    try Output(call).tell(EfficiencyReport(stories: known))
    return .success
  }
}

struct EfficiencyReport: Report {
  let stories: [JobStory]

  var text: String {
    stories.map { "\($0.job.label): \($0.efficiency?.words ?? "")" }.joined(separator: "\n")
  }

  var object: JSON {
    JSON([
      "jobs": .array(
        stories.map { story in
          let used = story.efficiency
          return JSON([
            "job": .string(story.job.label), "elapsed_s": .number(used?.elapsed),
            "cpus": .number(used?.cpus), "cpu_ms": .number(used?.cpuMilliseconds),
            "cpu_percent": .number(used?.cpuShare), "peak_kib": .number(used?.peakKiB),
            "memory_kib": .number(used?.memoryKiB), "memory_percent": .number(used?.memoryShare),
          ])
        })
    ])
  }
}
