// The progress of a pool: a file beside the log for other commands, and a line for the terminal.

import Glibc
import SpunnelSystem

/// The state of a pool at one moment.
package struct PoolProgress: Equatable, Sendable {
  /// The state of the pool as a whole.
  package enum State: String, Sendable {
    case running
    /// No new task starts, and running tasks go on.
    case closing
    case ended
  }

  package var job = "0"
  package var state = State.running
  package var total = 0
  /// The number of tasks that have ended, failed ones included.
  package var done = 0
  package var failed = 0
  package var running = 0
  /// Tasks that end in a second, averaged over the last ten seconds.
  package var rate = 0.0
  /// When this was written, in seconds since 1970.
  package var time = 0

  package init() {}

  /// Seconds until all tasks have ended, at the present rate; `nil` if the rate is 0.
  package var secondsLeft: Int? {
    done >= total ? 0 : rate > 0 ? Int(Double(total - done) / rate + 0.5) : nil
  }

  /// One line for people: `1200/5000 done, 3 failed, 16 running, 250/s, 0:15 left`.
  package var line: String {
    var parts = ["\(done)/\(total) done"]
    if failed > 0 { parts.append("\(failed) failed") }
    if running > 0 { parts.append("\(running) running") }
    if state != .ended {
      parts.append("\(PoolProgress.text(rate: rate))/s")
      if let secondsLeft { parts.append("\(PoolProgress.text(seconds: secondsLeft)) left") }
    }
    return parts.joined(separator: ", ")
  }

  static func text(rate: Double) -> String {
    if rate >= 10 || rate == 0 { return String(Int(rate + 0.5)) }
    let hundredths = Int(rate * 100 + 0.5)
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }

  static func text(seconds: Int) -> String {
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    if seconds < 3600 { return "\(seconds / 60):\(two(seconds % 60))" }
    return "\(seconds / 3600):\(two(seconds / 60 % 60)):\(two(seconds % 60))"
  }
}

extension PoolProgress {
  /// The path of the progress file of a log.
  package static func path(log: String) -> String { log + ".progress" }

  /// The content of the progress file: lines of a key and a value.
  var text: String {
    """
    job \(job)
    state \(state.rawValue)
    total \(total)
    done \(done)
    failed \(failed)
    running \(running)
    rate \(PoolProgress.text(rate: rate))
    left \(secondsLeft.map { String($0) } ?? "-")
    time \(time)

    """
  }

  /// Reads what `text` writes; `nil` for any other text.
  package init?(text: String) {
    var values: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 1)
      if words.count == 2 { values[words[0]] = words[1] }
    }
    guard let state = values["state"].flatMap({ State(rawValue: String($0)) }),
      let total = values["total"].flatMap({ Int($0) }),
      let done = values["done"].flatMap({ Int($0) })
    else { return nil }
    job = values["job"].map { String($0) } ?? "0"
    (self.state, self.total, self.done) = (state, total, done)
    failed = values["failed"].flatMap { Int($0) } ?? 0
    running = values["running"].flatMap { Int($0) } ?? 0
    rate = values["rate"].flatMap { Double($0) } ?? 0
    time = values["time"].flatMap { Int($0) } ?? 0
  }

  /// Reads the progress of the pool that writes a log; `nil` if there is none.
  package static func read(log: String) -> PoolProgress? {
    guard let file = try? FileDescriptor.open(path(log: log), O_RDONLY | O_NONBLOCK),
      let bytes = try? file.read(atMost: 4096)
    else { return nil }
    return PoolProgress(text: String(decoding: bytes, as: UTF8.self))
  }

  /// Replaces the progress file of a log. If the disk is full, the pool goes on without it.
  func write(log: String) {
    let path = PoolProgress.path(log: log)
    do throws(SystemError) {
      let file = try FileDescriptor.open(
        path + ".new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o644)
      try file.writeAll(Array(text.utf8))
      try check("rename") { unsafe rename(path + ".new", path) }
    } catch { _ = unsafe unlink(path + ".new") }
  }
}

/// Measures how many tasks end in a second.
struct RateMeter {
  private var samples: [(time: Int, ended: Int)] = []
  /// The time over which the rate is measured, in milliseconds.
  private static let window = 10_000

  /// Adds a measurement.
  ///
  /// - Parameters:
  ///   - ended: the number of tasks that have ended
  ///   - now: the time in milliseconds
  /// - Returns: tasks per second
  mutating func measure(ended: Int, now: Int) -> Double {
    samples.append((now, ended))
    while samples.count > 2, samples[1].time < now - RateMeter.window { samples.removeFirst() }
    guard let first = samples.first, now > first.time else { return 0 }
    return Double(ended - first.ended) * 1000 / Double(now - first.time)
  }
}
