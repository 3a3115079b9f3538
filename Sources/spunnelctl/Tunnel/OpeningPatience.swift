// What somebody is told who waits for spunnelctl open: what is waited for, again when it has changed or after a
// while.

struct OpeningPatience {
  /// Milliseconds between two looks at a job that waits: each asks Slurm.
  private static let look = 30_000
  /// Milliseconds after which the same is told again.
  private static let longest = 300_000

  private let job: String
  private var nextLook: Int
  private var toldAt = 0
  private var told: String?

  /// - Parameter now: milliseconds of the monotonic clock
  init(job: String, now: Int) {
    self.job = job
    nextLook = now
  }

  /// Begins anew: another thing is waited for.
  mutating func restart() { (told, nextLook) = (nil, 0) }

  /// A line, when there is one to tell.
  ///
  /// - Parameters:
  ///   - now: milliseconds of the monotonic clock
  ///   - awaitsJob: whether the job is what is waited for, rather than its tunnel
  ///   - ask: what Slurm says of the job, as `PENDING Resources`; `nil` where it says nothing
  mutating func line(at now: Int, awaitsJob: Bool, ask: () -> String?) -> String? {
    if !awaitsJob {
      if told != nil { return nil }
      told = ""
      return "waiting for the tunnel of job \(job)"
    }
    if now < nextLook { return nil }
    nextLook = now + OpeningPatience.look
    guard let detail = ask() else { return nil }
    if detail == told, now - toldAt < OpeningPatience.longest { return nil }
    (told, toldAt) = (detail, now)
    return "job \(job) has not started (\(detail)): waiting"
  }
}
