// When a session's time runs out, and when the user is told: by what Slurm says then.

import SpunnelSystem

/// Asks Slurm how long the job may still run, and says which warning is due. The limit may change at any
/// time, so what Slurm said at the start is not trusted.
final class TimeWarnings {
  /// Seconds before the end at which the user is warned.
  static let moments = [15 * 60, 5 * 60]
  /// Milliseconds between two questions, at the most and at the least.
  private static let longest = 300_000
  private static let shortest = 10_000

  private let ask: () -> Int?
  private var next = 0
  private var warned: Set<Int> = []
  private var wasAsked = false
  private var last: [Int] = []

  convenience init(job: String) { self.init { JobTime.secondsLeft(job: job) } }

  /// - Parameter ask: the seconds that are left by Slurm, `nil` without a limit or an answer
  init(ask: @escaping () -> Int?) { self.ask = ask }

  /// Milliseconds until Slurm is asked again.
  var nextLook: Int { max(0, next - Clock.milliseconds()) }

  /// Has Slurm asked at once, as somebody is there to read the answer.
  func lookNow() { next = 0 }

  /// The line that is due now, `nil` when there is none.
  func dueWarning() -> String? {
    if nextLook > 0 { return nil }
    let left = ask()
    defer { wasAsked = true }
    next = Clock.milliseconds() + TimeWarnings.pause(left: left)
    guard let left else { return nil }
    // A limit that was raised makes earlier warnings void.
    warned = warned.filter { left <= $0 + 30 }
    let due = TimeWarnings.moments.filter { left <= $0 && !warned.contains($0) }
    warned.formUnion(due)
    last = due
    // What was asked for as a short session is no news at its start.
    guard let moment = due.min(), wasAsked || moment == TimeWarnings.moments.last else {
      return nil
    }
    return TimeWarnings.line(left: left)
  }

  /// Nobody has seen the last warning: it is due again when Slurm is asked next.
  func takeBack() { warned.subtract(last) }

  static func line(left: Int) -> String {
    let minutes = (left + 59) / 60
    return
      "this session ends in \(minutes) minute\(minutes == 1 ? "" : "s"): save your work, or type "
      + "spunnelctl session extend"
  }

  /// Until shortly after the next moment, or sooner: the limit may be lowered.
  static func pause(left: Int?) -> Int {
    guard let left else { return longest }
    let untilNext = moments.filter { $0 < left }.map { (left - $0) * 1000 + 200 }.min() ?? longest
    return max(shortest, min(longest, untilNext))
  }
}
