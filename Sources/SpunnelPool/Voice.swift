// The output of the coordinator: output of tasks, lines for the user, and progress.

import Glibc
import SpunnelSystem

/// Standard output, standard error and the progress file.
final class Voice {
  private static let program = "spunnel-pool"
  private static let mostNamed = 10

  private let log: String
  private let job: String
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let began = Clock.milliseconds()
  private var output: OpenFile?
  private var meter = RateMeter()
  private var isLineShown = false
  private var lastWritten = 0
  private var failures: [Int] = []
  /// Why the output of tasks could not be printed; `nil` while it can.
  private(set) var outputFailure: SystemError?

  init(log: String, job: String) {
    self.log = log
    self.job = job
  }

  /// Prints a line for the user.
  func say(_ words: String) {
    clearLine()
    StandardStream.error.write(line: "\(Voice.program): \(words)")
  }

  /// Prints a piece of a task's output.
  func write(_ bytes: [UInt8]) {
    clearLine()
    do throws(SystemError) {
      if output == nil { output = try OpenFile(duplicating: STDOUT_FILENO) }
      try output?.descriptor.writeAll(bytes)
    } catch {
      if outputFailure == nil {
        say("write the tasks' output: \(error.reason): some output is lost")
      }
      outputFailure = error
    }
  }

  func noteFailure(_ task: Int) {
    if failures.count <= Voice.mostNamed { failures.append(task) }
  }

  /// Shows the progress: on a terminal at each call, and in the file once a second.
  func show(_ progress: PoolProgress) {
    var progress = progress
    let now = Clock.milliseconds()
    progress.rate = meter.measure(ended: progress.done, now: now)
    progress.time = Clock.wallMilliseconds() / 1000
    if isTerminal {
      StandardStream.error.write("\r\u{1B}[K\(progress.line)")
      isLineShown = true
    }
    if now - lastWritten > 900 {
      lastWritten = now
      progress.write(log: log)
    }
  }

  /// Prints the last line of the pool.
  func end(_ progress: PoolProgress, closing: Closing?) {
    var last = progress
    let seconds = Double(max(1, Clock.milliseconds() - began)) / 1000
    last.time = Clock.wallMilliseconds() / 1000
    last.write(log: log)
    clearLine()
    var words = "\(progress.done) of \(progress.total) tasks have run"
    if progress.failed > 0 {
      let named = failures.prefix(Voice.mostNamed).sorted().map { String($0) }.joined(
        separator: ", ")
      let more = progress.failed > min(failures.count, Voice.mostNamed) ? ", …" : ""
      words += ", \(progress.failed) failed (\(named)\(more))"
    }
    words += ", in \(PoolProgress.text(seconds: Int(seconds + 0.5))): the log is \(log)"
    if let closing { words += ": \(closing.words): run the same again with --resume" }
    say(words)
  }

  private func clearLine() {
    guard isLineShown else { return }
    isLineShown = false
    StandardStream.error.write("\r\u{1B}[K")
  }
}
