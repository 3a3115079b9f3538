// Connections of which ssh has said that the far end refused them.

import SpunnelSystem

struct Refusals {
  /// Milliseconds for which one explains an end of file: one whose client was gone by then must not be
  /// held against a later connection.
  private static let freshness = 1000
  /// Milliseconds for which the same reason is not told again: a page that is loaded again and again
  /// would fill the log with it.
  private static let silence = 60_000

  /// The end of a refusal that says no more than that nothing listens (channels.c,
  /// `channel_input_open_failure`).
  private static let usual = "open failed: connect failed: Connection refused"

  private var count = 0
  /// When the tunnel's own probes ended, as long as nobody else has connected.
  private var probed: Int?
  private var last = 0
  private var told: (reason: Substring, at: Int)?

  /// Counts one.
  ///
  /// - Parameters:
  ///   - line: ssh's, `channel 5: open failed: …`
  ///   - isProbing: whether the tunnel itself connects, to find out
  /// - Returns: whether it is worth telling
  mutating func note(_ line: String, isProbing: Bool = false) -> Bool {
    count += 1
    last = Clock.milliseconds()
    // The answer to a second probe comes a moment later.
    let isOurs = isProbing || last - (probed ?? -Refusals.freshness) < Refusals.freshness
    if isOurs && line.hasSuffix(Refusals.usual) { return false }
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

  /// A connection is made that is not the tunnel's own.
  mutating func noteConnection() { probed = nil }

  /// The tunnel's own probes have ended: all that there are were expected.
  mutating func forget() {
    count = 0
    probed = Clock.milliseconds()
  }
}
