// The site's own sbatch: its wrapper, filters, defaults and SPANK options hold.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// A submission, as sbatch is told of it.
package struct Submission: Sendable {
  /// sbatch's options.
  package var words: [ByteString]
  /// A script in a file, with its arguments.
  package var scriptWords: [ByteString]
  /// The script for sbatch's standard input; `nil`: sbatch reads a file.
  package var script: [UInt8]?
  /// `NAME=value` entries; `nil` for this process's own.
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

  /// What came of it.
  package enum Outcome: Equatable, Sendable {
    /// The job's number, and the cluster's name if sbatch told one.
    case submitted(UInt32, cluster: String?)
    /// sbatch has said why on standard error.
    case refused(status: Int)
  }

  package typealias Said = (status: Int, output: String)

  /// open(2); Swift does not see the macro.
  private static let temporaryFile: CInt = 0o20000000 | O_DIRECTORY

  /// Runs sbatch. What it says on standard error goes to that of this process.
  ///
  /// - Parameter sbatch: the path of the program
  package func submit(sbatch: ByteString) throws(SystemError) -> Outcome {
    let result = try run(sbatch: sbatch, extra: ["--parsable"], mergesErrors: false)
    guard result.status == 0 else { return .refused(status: result.status) }
    // A site's wrapper may say more on the lines before.
    for line in result.output.split(separator: "\n").reversed() {
      let parts = line.split(separator: ";", maxSplits: 1)
      if let number = parts.first.flatMap({ UInt32($0) }) {
        return .submitted(number, cluster: parts.count == 2 ? String(parts[1]) : nil)
      }
    }
    return .refused(status: 125)
  }

  /// Asks when the job would start, without a job (sbatch(1), `--test-only`).
  package func test(sbatch: ByteString) throws(SystemError) -> Said {
    try run(sbatch: sbatch, extra: ["--test-only"], mergesErrors: true)
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
    let child = try program.start()
    let reader = pipe.reader
    Submission.drop(pipe.writer)
    var output: [UInt8] = []
    while reader.waitReadable(milliseconds: -1),
      let bytes = try reader.read(atMost: 1 << 16), !bytes.isEmpty
    {
      if output.count < 1 << 20 { output += bytes }
    }
    while true {
      if case .ended(let status) = Process.poll(child) {
        return (status, String(decoding: output, as: UTF8.self))
      }
      usleep(300)
    }
  }

  private static func drop(_ end: consuming FileDescriptor) { _ = consume end }

  /// A file without a name, to be read from its beginning. The caller closes it.
  private static func file(of bytes: [UInt8]) throws(SystemError) -> CInt {
    let folder = Process.environment("TMPDIR").flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "/tmp"
    let file = try FileDescriptor.open(folder, temporaryFile | O_RDWR)
    try file.writeAll(bytes)
    try check("lseek") { lseek(file.raw, 0, SEEK_SET) }
    return file.release()
  }
}
