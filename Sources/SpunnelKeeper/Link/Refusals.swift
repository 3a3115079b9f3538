// Connections of which ssh has said that the far end refused them.

import SpunnelSystem
import SpunnelTunnel

/// Hears what ssh says of connections that the far end refused.
protocol RefusalListener: AnyObject {
  /// What it said last.
  var lastRefusal: String? { get }
  /// One is to come that is no client's, or does not come after all.
  func expectsRefusal(_ isToCome: Bool)
}

struct Refusals {
  /// Milliseconds for which one explains an end: one whose client was gone by then must not be held
  /// against a later connection.
  private static let freshness = 1000
  /// Milliseconds for which the same reason is not told again: a page that is loaded again and again
  /// would fill the log with it.
  private static let silence = 60_000

  /// When each came that no connection was accounted for yet, and what it means.
  private var waiting: [(at: Int, meaning: FarEnd)] = []
  private var last: Int?
  /// To come from what was asked of sshd, for nobody's connection.
  private var expected = 0
  private var told: (reason: Substring, at: Int)?

  /// One is to come that is no client's, or does not come after all.
  mutating func expect(_ isToCome: Bool) { expected = max(0, expected + (isToCome ? 1 : -1)) }

  /// Counts one.
  ///
  /// - Parameter line: ssh's, `channel 5: open failed: …`
  /// - Returns: whether it is worth telling
  mutating func note(_ line: String) -> Bool {
    if expected > 0 {
      expected -= 1
      return false
    }
    let now = Clock.milliseconds()
    forgetOld(now)
    waiting.append((now, Refusals.meaning(of: line)))
    last = now
    // The number differs each time.
    let reason = line.drop { $0 != ":" }
    if let told, told.reason == reason, now - told.at < Refusals.silence { return false }
    told = (reason, now)
    return true
  }

  /// Whether there was one a moment ago, whosever it was: ssh does not say, and a connection that was refused
  /// must not look like an empty answer.
  var areFresh: Bool {
    guard let last else { return false }
    return Clock.milliseconds() - last < Refusals.freshness
  }

  /// Accounts one from a moment ago for a connection.
  ///
  /// - Returns: what it means for the far end; `nil` when there was none
  mutating func take() -> FarEnd? {
    forgetOld(Clock.milliseconds())
    return waiting.popLast()?.meaning
  }

  private mutating func forgetOld(_ now: Int) {
    waiting.removeAll { now - $0.at >= Refusals.freshness }
  }

  /// What ssh's words say of the far end.
  private static func meaning(of line: String) -> FarEnd {
    if line.mentions("Connection refused") { return .refused }
    return line.mentions("administratively prohibited") ? .denied : .unreached
  }
}
