// What the log says about refused connections.

import SpunnelSystem
import SpunnelTunnel

/// Limits the log lines about refused connections, so that a user who tries again and again cannot
/// fill the log. The same line is written once a minute, with the number of repeats. The number of
/// different lines is bounded.
struct Strangers {
  private var began: Int?
  private var counts: [String: Int] = [:]
  private var others = 0

  /// Counts a refused connection.
  ///
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

  /// Ends the minute.
  ///
  /// - Returns: the lines that sum it up
  private mutating func close() -> [String] {
    var lines = counts.filter { $0.value > 0 }.sorted { $0.key < $1.key }
      .map { "\($0.key), \($0.value) times more" }
    if others > 0 { lines.append("refused \(others) others") }
    (began, counts, others) = (nil, [:], 0)
    return lines
  }
}
