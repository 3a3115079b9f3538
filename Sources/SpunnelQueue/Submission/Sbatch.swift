// Runs the site's own sbatch, so that its wrapper, filters, defaults and SPANK options apply.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// A submission, as sbatch gets it.
package struct Submission: Sendable {
  /// The options for sbatch.
  package var words: [ByteString]
  /// The path of a script and its arguments; empty if the script is on standard input.
  package var scriptWords: [ByteString]
  /// The script for sbatch's standard input; `nil` if sbatch reads a file.
  package var script: [UInt8]?
  /// `NAME=value` entries; `nil` for the environment of this process.
  package var environment: [ByteString]?

  package init(
    _ words: [ByteString], scriptWords: [ByteString] = [], script: [UInt8]?,
    environment: [ByteString]? = nil
  ) {
    self.words = words
    self.scriptWords = scriptWords
    self.script = script
    self.environment = environment
  }

  /// The result of a submission.
  package enum Outcome: Equatable, Sendable {
    /// The job's number, the cluster's name if sbatch told one, and a signal that came too late.
    case submitted(UInt32, cluster: String?, interrupted: CInt?)
    /// This signal came, and no job was made.
    case interrupted(CInt)
    /// sbatch has said why on standard error.
    case refused(status: Int)
  }

  package typealias Said = (status: Int, output: String, interrupted: CInt?)

  /// How many milliseconds sbatch has for its answer after a signal.
  private static let patience = 2000

  /// `O_TMPFILE` of open(2), a macro that Swift does not import.
  private static let temporaryFile: CInt = 0o20000000 | O_DIRECTORY

  /// Runs sbatch. Its standard error goes to that of this process.
  ///
  /// Signals that end a process stay blocked: the caller first says which job was made, and then calls
  /// `Process.unblockSignals`.
  ///
  /// - Parameter sbatch: the path of sbatch
  package func submit(sbatch: ByteString) throws(SystemError) -> Outcome {
    let result = try run(sbatch: sbatch, extra: ["--parsable"], mergesErrors: false)
    guard result.status == 0 else {
      return result.interrupted.map { .interrupted($0) } ?? .refused(status: result.status)
    }
    // A site's wrapper may say more on the lines before.
    for line in result.output.split(separator: "\n").reversed() {
      let parts = line.split(separator: ";", maxSplits: 1)
      if let number = parts.first.flatMap({ UInt32($0) }) {
        return .submitted(
          number, cluster: parts.count == 2 ? String(parts[1]) : nil,
          interrupted: result.interrupted)
      }
    }
    return .refused(status: 125)
  }

  /// Asks when the job would start, without submitting it (sbatch(1), `--test-only`).
  package func test(sbatch: ByteString) throws(SystemError) -> Said {
    let said = try run(sbatch: sbatch, extra: ["--test-only"], mergesErrors: true)
    Process.unblockSignals()
    // There is no job that anybody would have to know of.
    if let signal = said.interrupted { _ = raise(signal) }
    return said
  }

  private func run(
    sbatch: ByteString, extra: [ByteString], mergesErrors: Bool
  ) throws(SystemError) -> Said {
    let input = try script.map { bytes throws(SystemError) in try Submission.file(of: bytes) }
    let pipe = try FileDescriptor.pipe(childHas: .writer)
    var program = Program(
      path: sbatch, arguments: ["sbatch"] + extra + words + scriptWords, environment: environment,
      descriptors: [
        input ?? STDIN_FILENO, pipe.writer.raw, mergesErrors ? pipe.writer.raw : STDERR_FILENO,
      ])
    program.newSession = false
    defer { if let input { _ = close(input) } }
    // A signal must not end sbatch between slurmctld's answer and its own: nobody would know of the job.
    // sbatch gets the signal when it has not answered for a while, or when a second one comes.
    let signals = try SignalWatch([SIGINT, SIGTERM, SIGHUP])
    let child = try program.start()
    let reader = pipe.reader
    Submission.drop(pipe.writer)
    var output: [UInt8] = []
    var interrupted: CInt?
    var deadline: Int?
    while true {
      var entries = [
        pollfd(fd: reader.raw, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals.descriptor.raw, events: Int16(POLLIN), revents: 0),
      ]
      let left = deadline.map { CInt(max(0, $0 - Clock.milliseconds())) }
      let count = unsafe poll(&entries, 2, left ?? -1)
      if let interrupted, count == 0 {
        _ = kill(-child, interrupted)
        deadline = nil
      }
      for signal in try signals.take() {
        if interrupted != nil { _ = kill(-child, signal) }
        interrupted = signal
        deadline = Clock.milliseconds() + Submission.patience
      }
      if entries[0].revents == 0 { continue }
      guard let bytes = try reader.read(atMost: 1 << 16) else { continue }
      if bytes.isEmpty { break }
      if output.count < 1 << 20 { output += bytes }
    }
    // sbatch has closed its output: it ends now.
    var status: CInt = 0
    while unsafe waitpid(child, &status, 0) < 0 {
      if errno != EINTR { return (255, String(decoding: output, as: UTF8.self), interrupted) }
    }
    return (
      Int(Process.exitCode(status)), String(decoding: output, as: UTF8.self), interrupted
    )
  }

  private static func drop(_ end: consuming FileDescriptor) { _ = consume end }

  /// An unnamed file with some content, positioned at its beginning. The caller closes it.
  private static func file(of bytes: [UInt8]) throws(SystemError) -> CInt {
    let folder = Process.environment("TMPDIR").flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "/tmp"
    let file = try FileDescriptor.open(folder, temporaryFile | O_RDWR)
    try file.writeAll(bytes)
    try check("lseek") { lseek(file.raw, 0, SEEK_SET) }
    return file.release()
  }
}
