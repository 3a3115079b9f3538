// Times and sizes for people.

import Glibc

/// Formats times and sizes.
package enum Units {
  /// A point in time in the local time zone, as Slurm's commands print it.
  ///
  /// - Parameter milliseconds: milliseconds since 1970; 0 means unknown
  package static func localTime(_ milliseconds: Int) -> String {
    if milliseconds == 0 { return "?" }
    var seconds = time_t(milliseconds / 1000)
    var parts = unsafe tm()
    guard unsafe localtime_r(&seconds, &parts) != nil else { return "?" }
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
      guard let start = buffer.baseAddress else { return "?" }
      let count = unsafe strftime(start, buffer.count, "%Y-%m-%dT%H:%M:%S", &parts)
      return unsafe String(decoding: UnsafeRawBufferPointer(buffer)[..<count], as: UTF8.self)
    }
  }

  /// A point in time for a narrow column: the time if it is today, otherwise the day.
  ///
  /// - Parameters:
  ///   - milliseconds: milliseconds since 1970
  ///   - now: the present time, in milliseconds since 1970
  package static func shortTime(_ milliseconds: Int, now: Int) -> String {
    let (time, today) = (localTime(milliseconds), localTime(now))
    guard time.utf8.count == 19 else { return time }
    return time.prefix(10) == today.prefix(10) ? String(time.suffix(8)) : String(time.prefix(10))
  }

  /// A number of bytes, as `ls -h` prints it.
  package static func byteCount(_ bytes: Int) -> String {
    var (value, unit) = (Double(bytes), 0)
    let units = ["", "K", "M", "G", "T", "P", "E"]
    while value >= 1024 && unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    if unit == 0 { return String(bytes) }
    let tenths = Int((value * 10).rounded())
    let number = tenths < 100 ? "\(tenths / 10).\(tenths % 10)" : "\(tenths / 10)"
    return number + units[unit]
  }

  /// A count with its noun: `1 connection`, `2 connections`.
  package static func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }
}
