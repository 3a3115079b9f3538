// The last lines of a record's log: what became of the tunnel, and when.

import Glibc
import SpunnelSystem

/// A line of the log.
public struct LogLine: Equatable, Sendable {
  /// In milliseconds since 1970; `nil` for what stands there without a time.
  public let time: Int?
  public let text: String

  /// Characters after which a line is cut.
  static let longest = 1000

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

  /// The last lines of a step's log, the oldest first; none when there is no log to be read.
  ///
  /// - Parameters:
  ///   - base: an absolute path, of `state_dir=`
  ///   - user: the tunnel's owner
  public static func last(
    _ count: Int, of step: StepName, in base: String, user: uid_t
  ) -> [LogLine] {
    do throws(RecordError) {
      guard let record = try StateDirectory.find(in: base, user: user)?.open(step) else {
        return []
      }
      let lines = end(of: RecordFile.log, in: record)
      let older = lines.count < count ? end(of: RecordFile.oldLog, in: record) : []
      return (older + lines).suffix(count).map { LogLine($0) }
    } catch { return [] }
  }

  /// The whole lines at the end of a file.
  private static func end(of name: String, in record: borrowing Directory) -> [Substring] {
    let most = 16 * 1024
    guard let content = try? record.readEnd(name, atMost: most, isSole: true) else { return [] }
    let lines = String(decoding: content, as: UTF8.self).utf8.split(separator: UInt8(ascii: "\n"))
    // The first one is cut.
    return lines.dropFirst(content.count == most ? 1 : 0).map { Substring($0) }
  }
}

/// Reads what `timestamp` writes: `2026-11-21T09:50:05.123Z`.
///
/// - Returns: milliseconds since 1970
func milliseconds(timestamp text: some StringProtocol) -> Int? {
  let fields = text.utf8.split { !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0) }
    .map { wholeNumber(Substring(decoding: $0, as: UTF8.self)) ?? 0 }
  guard text.utf8.count == 24, text.hasSuffix("Z"), fields.count == 7,
    fields.allSatisfy({ $0 < 10_000 })
  else { return nil }
  var parts = unsafe tm()
  unsafe (parts.tm_year, parts.tm_mon) = (CInt(fields[0] - 1900), CInt(fields[1] - 1))
  unsafe (parts.tm_mday, parts.tm_hour) = (CInt(fields[2]), CInt(fields[3]))
  unsafe (parts.tm_min, parts.tm_sec) = (CInt(fields[4]), CInt(fields[5]))
  let milliseconds = unsafe timegm(&parts) * 1000 + fields[6]
  return text == timestamp(milliseconds) ? milliseconds : nil
}
