// A session as Slurm's queue shows it.

import SpunnelSlurm
import SpunnelSystem

/// One job of the user's that is a session.
package struct SessionJob: Equatable, Sendable {
  /// As Slurm's commands write it: 12, 12+1.
  package var id: String
  package var name: String
  package var kind: String
  package var phase: JobPhase
  /// Slurm's own word, as in `RUNNING`; `COMPLETING` while its last processes end.
  package var state: String
  /// The node with the session, of a job that runs or ran.
  package var node = ""
  /// Why it waits, in Slurm's words.
  package var reason = ""
  package var partition = ""
  /// When it started or is expected to, in seconds since 1970.
  package var started: Int?
  /// When its time limit is reached, in seconds since 1970.
  package var ends: Int?
  package var cores: Int?
  /// As sbatch writes it: `4096M a node`.
  package var memory = ""
  package var comment = ""
  /// The exit status of a job that is over, 128 + the signal that ended it.
  package var exitStatus = 0

  package init(
    id: String, name: String = "", kind: String, phase: JobPhase, state: String = ""
  ) {
    self.id = id
    self.name = name
    self.kind = kind
    self.phase = phase
    self.state = state
  }

  /// - Returns: `nil` when the job is no session
  package init?(_ job: JobInfo) {
    guard let kind = SessionMark.kind(command: job.command) else { return nil }
    self.init(
      id: job.label, name: job.name, kind: kind, phase: job.isCompleting ? .over : job.phase,
      state: job.isCompleting ? "COMPLETING" : job.state)
    node = job.batchHost
    reason = job.reason == "None" ? "" : job.reason
    partition = job.partition
    started = job.started
    ends = job.phase == .running ? job.ended : nil
    if job.limit == .unlimited { ends = nil }
    cores = job.cpus
    if let size = job.memoryPerNode ?? job.memoryPerCPU, size > 0 {
      memory = "\(size)M a \(job.memoryPerNode != nil ? "node" : "core")"
    }
    comment = job.comment
    exitStatus = Int(Process.exitCode(CInt(truncatingIfNeeded: job.exit ?? 0)))
  }

  /// Seconds that are left, `nil` without a limit or an end.
  package var secondsLeft: Int? {
    ends.map { max(0, $0 - Clock.wallMilliseconds() / 1000) }
  }

  /// Whether an attach finds somebody there.
  package var isReady: Bool { phase == .running && state == "RUNNING" }

  /// When somebody attached last, by the job's comment; empty when nobody did.
  package var lastAttached: String {
    comment.hasPrefix(SessionMark.attached)
      ? String(comment.dropFirst(SessionMark.attached.count)) : ""
  }

  /// In the order of numbers, not of digits: job 9 comes before job 10.
  package static func precedes(_ left: SessionJob, _ right: SessionJob) -> Bool {
    left.number != right.number ? left.number < right.number : left.id < right.id
  }

  private var number: UInt64 { UInt64(id.prefix { $0.isNumber }) ?? .max }
}

/// How a job is known to be a session.
package enum SessionMark {
  /// The batch script, beside spunnel-session. The job's command line names it, which no option of sbatch
  /// changes.
  package static let script = "/libexec/spunnel/session"
  /// The comment of a session to which nobody has attached.
  package static let comment = "spunnel"
  /// What stands before the time of the last attach, in the comment.
  package static let attached = "spunnel attached "

  /// The kind, from a job's command line as Slurm has it: words behind single spaces.
  ///
  /// - Returns: `nil` when the job is no session
  package static func kind(command: String) -> String? {
    let words = command.split(separator: " ", omittingEmptySubsequences: false)
    guard let first = words.firstIndex(where: { $0.hasSuffix(script) }), first + 3 < words.count,
      words[first + 1].hasSuffix("/spunnel-session"), words[first + 2] == "hold"
    else { return nil }
    return String(words[first + 3])
  }
}
