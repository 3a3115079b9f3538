// Connections that the far end refused, as reported by ssh.

import SpunnelSystem
import SpunnelTunnel

/// Hears what ssh says about connections that the far end refused.
protocol RefusalListener: AnyObject {
  /// The last refusal that ssh reported.
  var lastRefusal: String? { get }
  /// Expects one refusal that belongs to no client; `false`: that refusal will not come.
  func expectsRefusal(_ isToCome: Bool)
}

struct Refusals {
  /// Milliseconds for which a refusal explains the end of a connection. Its own client may be gone
  /// already, and a later connection must not be blamed for it.
  private static let freshness = 1000
  /// Milliseconds for which the same reason is not logged again: a page that is reloaded often
  /// would fill the log.
  private static let silence = 60_000

  /// The refusals that belong to no connection yet, with time and meaning.
  private var waiting: [(at: Int, meaning: FarEnd)] = []
  private var last: Int?
  /// Expected refusals of the keeper's own questions to sshd, which belong to no client.
  private var expected = 0
  private var told: (reason: Substring, at: Int)?

  /// Expects one refusal that belongs to no client; `false`: that refusal will not come.
  mutating func expect(_ isToCome: Bool) { expected = max(0, expected + (isToCome ? 1 : -1)) }

  /// Notes a refusal.
  ///
  /// - Parameter line: ssh's line, `channel 5: open failed: …`
  /// - Returns: whether the line belongs in the log
  mutating func note(_ line: String) -> Bool {
    if expected > 0 {
      expected -= 1
      return false
    }
    let now = Clock.milliseconds()
    forgetOld(now)
    waiting.append((now, Refusals.meaning(of: line)))
    last = now
    // The channel's number differs each time.
    let reason = line.drop { $0 != ":" }
    if let told, told.reason == reason, now - told.at < Refusals.silence { return false }
    told = (reason, now)
    return true
  }

  /// Whether there was a refusal a moment ago, for any connection. ssh does not say for which, and
  /// a refused connection must not look like an empty answer.
  var areFresh: Bool {
    guard let last else { return false }
    return Clock.milliseconds() - last < Refusals.freshness
  }

  /// Assigns one recent refusal to a connection.
  ///
  /// - Returns: what it means for the far end; `nil` if there was no refusal
  mutating func take() -> FarEnd? {
    forgetOld(Clock.milliseconds())
    return waiting.popLast()?.meaning
  }

  private mutating func forgetOld(_ now: Int) {
    waiting.removeAll { now - $0.at >= Refusals.freshness }
  }

  /// What ssh's words mean for the far end.
  private static func meaning(of line: String) -> FarEnd {
    if line.mentions("Connection refused") { return .refused }
    return line.mentions("administratively prohibited") ? .denied : .unreached
  }
}
