// `--idle TIME`: whether a session is in use, by who is attached and by the processor time of its programs.

import Glibc
import SpunnelSystem

final class IdleWatch {
  /// Milliseconds between two looks.
  private static let pause = 15_000
  /// The share of one processor below which nothing is being computed, in percent.
  private static let quiet = 1

  private let limit: Int
  private let job: String
  private var next = 0
  private var since: Int
  private var times: [pid_t: Int] = [:]
  private var lastLook: Int

  /// - Parameters:
  ///   - limit: seconds without use
  ///   - job: whose processes count
  init(limit: Int, job: String) {
    self.limit = limit
    self.job = job
    since = Clock.milliseconds()
    lastLook = since
  }

  /// Milliseconds until the next look.
  var nextLook: Int { max(0, next - Clock.milliseconds()) }

  /// - Parameter attached: how many terminals are
  func isOver(attached: Int) -> Bool {
    let now = Clock.milliseconds()
    guard now >= next else { return false }
    next = now + min(IdleWatch.pause, max(1000, limit * 250))
    let used = usedSince(now)
    if attached > 0 || used { since = now }
    return now - since >= limit * 1000
  }

  /// Whether a program of the job has computed since the last look, or a step of the session's runs, perhaps
  /// on another node.
  private func usedSince(_ now: Int) -> Bool {
    var current: [pid_t: Int] = [:]
    var hasStep = false
    for process in ProcessTable.own() where process.id != getpid() {
      guard process.environment.contains("SLURM_JOB_ID=\(job)") else { continue }
      if process.arguments.first?.split(separator: "/").last == "srun" { hasStep = true }
      current[process.id] = process.processorTime
    }
    var used = 0
    for (process, time) in current { used += max(0, time - (times[process] ?? 0)) }
    let isFirst = times.isEmpty
    times = current
    defer { lastLook = now }
    let elapsed = max(1, now - lastLook)
    return hasStep || (!isFirst && used * 100 > IdleWatch.quiet * elapsed)
  }
}
