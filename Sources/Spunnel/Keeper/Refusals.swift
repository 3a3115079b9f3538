// Connections of which ssh has said that the far end refused them.

import SpunnelSystem

/// Hears what ssh says of connections that the far end refused.
protocol RefusalListener: AnyObject {
  /// What it said last.
  var lastRefusal: String? { get }
  /// One is to come that is no client's, or does not come after all.
  func expectsRefusal(_ isToCome: Bool)
}

struct Refusals {
  /// Milliseconds for which one explains an end of file: one whose client was gone by then must not be
  /// held against a later connection.
  private static let freshness = 1000
  /// Milliseconds for which the same reason is not told again: a page that is loaded again and again
  /// would fill the log with it.
  private static let silence = 60_000

  private var count = 0
  private var last = 0
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
    count += 1
    last = Clock.milliseconds()
    // The number differs each time.
    let reason = line.drop { $0 != ":" }
    if let told, told.reason == reason, last - told.at < Refusals.silence { return false }
    told = (reason, last)
    return true
  }

  /// Whether there is one that no connection was accounted for, from a moment ago.
  var areFresh: Bool { count > 0 && Clock.milliseconds() - last < Refusals.freshness }

  /// Accounts one for a connection.
  ///
  /// - Returns: whether there was one
  mutating func take() -> Bool {
    if count == 0 { return false }
    count -= 1
    return true
  }
}
