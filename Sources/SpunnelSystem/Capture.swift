// Programs that are run for their output, and execve(2) of this process.

import CSystem
import Glibc

/// The outcome of a program that was run to its end.
public struct ProgramResult: Sendable {
  /// The exit status, or 128 + the signal that ended it.
  public let status: Int
  /// Standard output and standard error, in the order in which they were written.
  public let output: String

  /// Whether the exit status is 0.
  public var succeeded: Bool { status == 0 }

  /// Whether the program did not end in time and was killed.
  public var isLate: Bool { status == ProgramResult.late }

  /// The status of a program that was killed for being late. No program of Spunnel exits with it.
  static let late = 255

  /// The last line that is not empty, for a message.
  public var lastLine: String {
    output.split(separator: "\n").last.map(String.init) ?? "exit status \(status)"
  }
}

extension Program {
  /// Milliseconds that somebody waits without a word.
  private static let silence = 2000

  /// Describes a program without input, for `capture`, `start(output:)` or `replace`.
  public init(_ path: String, _ arguments: [String], environment: [ByteString]) {
    self.init(
      path: path, arguments: [path] + arguments, environment: environment, descriptors: [])
  }

  /// Runs the program to its end. Its standard input is empty.
  ///
  /// - Parameters:
  ///   - milliseconds: the time after which it is killed, with the status `late`
  ///   - whenLate: called once, when it has said nothing for two seconds
  /// - Returns: its status and output
  public func capture(
    milliseconds: Int, whenLate: () -> Void = {}
  ) throws(SystemError) -> ProgramResult {
    let nothing = try FileDescriptor.open("/dev/null", O_RDONLY)
    // A socket pair, not a pipe. The child's end is blocking: if it is full, the program waits, and
    // its write does not fail.
    let pair = try FileDescriptor.streamPair()
    var program = self
    program.descriptors = [nothing.raw, pair.left.raw, pair.left.raw]
    // The action of SIGCHLD is changed for this child only, because it belongs to the host process.
    var before = sigaction()
    let wereForgotten = unsafe csystem_keep_children(&before) == 1
    defer { if wereForgotten { unsafe csystem_leave_children(&before) } }
    let child = try program.start()
    let reader = pair.right
    Program.close(pair.left)
    let deadline = Clock.milliseconds() + milliseconds
    var output: [UInt8] = []
    if milliseconds > Program.silence, !reader.waitReadable(milliseconds: Program.silence) {
      whenLate()
    }
    while reader.waitReadable(milliseconds: max(0, deadline - Clock.milliseconds())),
      let more = try? reader.read(atMost: 65536), !more.isEmpty
    {
      output += more
    }
    let status = Process.outcome(of: child, until: deadline)
    return ProgramResult(status: status, output: String(decoding: output, as: UTF8.self))
  }

  /// Closes the writing end, so that the output ends when the program ends.
  private static func close(_ end: consuming FileDescriptor) { _ = consume end }

  /// Starts the program in its own session, with its output in a file.
  ///
  /// - Parameter file: created if it does not exist, otherwise appended to
  /// - Returns: the process id
  public func start(output file: String) throws(SystemError) -> pid_t {
    let nothing = try FileDescriptor.open("/dev/null", O_RDONLY)
    let log = try FileDescriptor.open(file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW)
    var program = self
    program.descriptors = [nothing.raw, log.raw, log.raw]
    return try program.start()
  }

  /// Replaces this process by the program (execve(2)). Descriptors and terminal stay.
  ///
  /// - Throws: if that failed; otherwise this function does not return
  public func replace() throws(SystemError) {
    let argv = CStringVector(arguments)
    let envp = CStringVector(environment ?? Process.environment())
    try check("run \(path.text)") { unsafe execve(path.cString, argv.pointers, envp.pointers) }
  }
}

extension Process {
  /// The exit status of a child. At the deadline the child is killed.
  fileprivate static func outcome(of child: pid_t, until deadline: Int) -> Int {
    while true {
      if case .ended(let status) = poll(child) { return status }
      if Clock.milliseconds() >= deadline {
        end(group: child, patience: 0)
        return ProgramResult.late
      }
      usleep(500)
    }
  }
}
