// What `session start` was told: what is ours, what is sbatch's own, what runs in the session.

import Glibc
import SpunnelSystem

/// What was typed. sbatch's options are passed on as they came; their meaning is sbatch's alone.
package struct StartWords: Equatable, Sendable {
  package var kind = ShellKind.name
  package var detaches = false
  package var notifies = false
  /// Words for the node's program.
  package var holderWords: [String] = []
  package var sbatchWords: [ByteString] = []
  package var command: [ByteString] = []

  package init() {}

  /// Whether sbatch is to wait for the job's end.
  package var waits: Bool {
    sbatchWords.contains { $0 == "-W" || $0 == "--wait" }
  }

  /// Whether nothing was typed that a session which is there could lack.
  package var isPlain: Bool {
    sbatchWords.isEmpty && command.isEmpty && holderWords.isEmpty && !detaches
  }
}

/// Times as sbatch's `--time` takes them.
package enum SlurmTime {
  /// `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours[:minutes[:seconds]]`.
  package static func seconds(_ text: String) -> Int? {
    let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard let last = parts.last else { return nil }
    let fields = last.split(separator: ":", omittingEmptySubsequences: false).map { whole($0) }
    guard fields.count <= 3, !fields.contains(nil) else { return nil }
    var numbers = fields.compactMap { $0 }
    if parts.count == 2 {
      guard let days = whole(parts[0]) else { return nil }
      while numbers.count < 3 { numbers.append(0) }
      return ((days * 24 + numbers[0]) * 60 + numbers[1]) * 60 + numbers[2]
    }
    // One or two numbers begin with minutes.
    if numbers.count == 1 { numbers.append(0) }
    return numbers.reduce(0) { $0 * 60 + $1 }
  }

  /// `2026-11-30T14:05:00` in this host's time zone, as Slurm writes times.
  package static func local(_ seconds: Int) -> String {
    var when = time_t(seconds)
    var parts = unsafe tm()
    unsafe localtime_r(&when, &parts)
    func two(_ value: CInt) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let date = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    return unsafe "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
  }

  private static func whole(_ text: Substring) -> Int? {
    guard !text.isEmpty, text.utf8.count < 9, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else {
      return nil
    }
    return Int(text)
  }

  /// `1-02:03:04`, as Slurm writes what is left.
  package static func text(_ seconds: Int) -> String {
    let (days, rest) = seconds.quotientAndRemainder(dividingBy: 86400)
    let clock = [rest / 3600, rest / 60 % 60, rest % 60].map { $0 < 10 ? "0\($0)" : "\($0)" }
      .joined(separator: ":")
    return days > 0 ? "\(days)-\(clock)" : clock
  }
}
