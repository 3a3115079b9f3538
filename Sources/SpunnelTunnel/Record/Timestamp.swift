// Points in time as text (RFC 3339).

import Glibc
import SpunnelSystem

/// Formats a time as RFC 3339 in UTC, to the millisecond.
///
/// - Parameter milliseconds: milliseconds since 1970
public func timestamp(_ milliseconds: Int) -> String {
  var seconds = time_t(milliseconds / 1000)
  var parts = unsafe tm()
  unsafe gmtime_r(&seconds, &parts)
  func padded(_ value: some BinaryInteger, _ width: Int = 2) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
  let year = unsafe padded(parts.tm_year + 1900, 4)
  let date = unsafe "\(year)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
  let time = unsafe "\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))"
  return "\(date)T\(time).\(padded(milliseconds % 1000, 3))Z"
}

/// Reads what `timestamp` writes: `2026-11-21T09:50:05.123Z`.
///
/// - Returns: milliseconds since 1970; `nil` for any other text
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
