// Reads the end of a record's log: what happened to the tunnel, and when.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// A line of the log.
public struct LogLine: Equatable, Sendable {
  /// Milliseconds since 1970; `nil` for a line without a time.
  public let time: Int?
  public let text: String

  /// The longest line, in characters. Longer lines are cut.
  public static let longest = 1000

  init(_ line: some StringProtocol) {
    let parts = line.split(separator: " ", maxSplits: 1)
    if parts.count == 2, let time = milliseconds(timestamp: parts[0]) {
      self.time = time
      text = printable(parts[1], atMost: LogLine.longest)
    } else {
      time = nil
      text = printable(line, atMost: LogLine.longest)
    }
  }

  /// The last lines of a step's log, oldest first.
  ///
  /// - Parameters:
  ///   - count: the most lines to return
  ///   - step: the step of the tunnel
  ///   - base: the absolute path of `state_dir=`
  ///   - user: the tunnel's owner
  /// - Returns: an empty list when the log is missing or cannot be read
  public static func last(
    _ count: Int, of step: StepName, in base: String, user: uid_t
  ) -> [LogLine] {
    do throws(RecordError) {
      let state = try StateDirectory.find(holding: step, in: base, user: user)
      guard let record = try state?.open(step) else { return [] }
      let lines = end(of: RecordFile.log, in: record)
      let older = lines.count < count ? end(of: RecordFile.oldLog, in: record) : []
      return (older + lines).suffix(count).map { LogLine($0) }
    } catch { return [] }
  }

  /// The complete lines at the end of a file.
  private static func end(of name: String, in record: borrowing Directory) -> [Substring] {
    let most = 16 * 1024
    guard let content = try? record.readEnd(name, atMost: most, isSole: true) else { return [] }
    let lines = String(decoding: content, as: UTF8.self).utf8.split(separator: UInt8(ascii: "\n"))
    // The read may begin in the middle of a line.
    return lines.dropFirst(content.count == most ? 1 : 0).map { Substring($0) }
  }
}
