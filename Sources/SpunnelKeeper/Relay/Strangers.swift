// What the log is told of connections that were refused.

import SpunnelSystem
import SpunnelTunnel

/// Keeps strangers who try again and again from filling the log, and from pushing everything else out of it:
/// the same line is written once a minute, with how often it was true since, and few different ones.
struct Strangers {
  private var began: Int?
  private var counts: [String: Int] = [:]
  private var others = 0

  /// - Parameters:
  ///   - line: what was refused
  ///   - now: milliseconds of the monotonic clock
  /// - Returns: the lines to write
  mutating func note(_ line: String, at now: Int = Clock.milliseconds()) -> [String] {
    var lines: [String] = []
    if let began, now - began >= Limits.refusalPause { lines = close() }
    if began == nil { began = now }
    if let count = counts[line] {
      counts[line] = count + 1
    } else if counts.count < Limits.refusals {
      counts[line] = 0
      lines.append(line)
    } else {
      others += 1
    }
    return lines
  }

  /// - Returns: what the minute before has left to tell
  private mutating func close() -> [String] {
    var lines = counts.filter { $0.value > 0 }.sorted { $0.key < $1.key }
      .map { "\($0.key), \($0.value) times more" }
    if others > 0 { lines.append("refused \(others) others") }
    (began, counts, others) = (nil, [:], 0)
    return lines
  }
}
