// Programs that are asked something: their output as text, or this process turned into them.

import CSystem
import Glibc

/// What a program that was run to its end said.
public struct ProgramResult: Sendable {
  /// Its exit status, or 128 + the signal that ended it.
  public let status: Int
  /// Standard output and standard error, as they came.
  public let output: String

  public var succeeded: Bool { status == 0 }

  /// Whether it did not end in time and was ended by force.
  public var isLate: Bool { status == ProgramResult.late }

  /// The status of a program that was ended by force: no program of ours ends with it.
  static let late = 255

  /// The last line that is not empty, for a message.
  public var lastLine: String {
    output.split(separator: "\n").last.map(String.init) ?? "exit status \(status)"
  }
}

extension Program {
  /// A program without input that is to be run with `capture`, `log` or `replace`.
  public init(_ path: String, _ arguments: [String], environment: [ByteString]) {
    self.init(
      path: path, arguments: [path] + arguments, environment: environment, descriptors: [])
  }

  /// Runs it to its end with nothing to read.
  ///
  /// - Parameter milliseconds: when it is ended by force, with the status `late`
  /// - Returns: what it said
  public func capture(milliseconds: Int) throws(SystemError) -> ProgramResult {
    let nothing = try FileDescriptor.open("/dev/null", O_RDONLY)
    // A socket and no pipe: one that blocks the program instead of failing its write when full.
    let pair = try FileDescriptor.streamPair()
    var program = self
    program.descriptors = [nothing.raw, pair.left.raw, pair.left.raw]
    // For this child alone: what becomes of the host process's own is its affair.
    var before = sigaction()
    let wereForgotten = unsafe csystem_keep_children(&before) == 1
    defer { if wereForgotten { unsafe csystem_leave_children(&before) } }
    let child = try program.start()
    let reader = pair.right
    Program.close(pair.left)
    let deadline = Clock.milliseconds() + milliseconds
    var output: [UInt8] = []
    while reader.waitReadable(milliseconds: max(0, deadline - Clock.milliseconds())),
      let more = try? reader.read(atMost: 65536), !more.isEmpty
    {
      output += more
    }
    let status = Process.outcome(of: child, until: deadline)
    return ProgramResult(status: status, output: String(decoding: output, as: UTF8.self))
  }

  /// Closes the writing end, so that the program's end is the end of the output.
  private static func close(_ end: consuming FileDescriptor) { _ = consume end }

  /// Starts it with its output in a file, in a session of its own.
  ///
  /// - Parameter file: made when it is not there, else written on
  /// - Returns: its process id
  public func start(output file: String) throws(SystemError) -> pid_t {
    let nothing = try FileDescriptor.open("/dev/null", O_RDONLY)
    let log = try FileDescriptor.open(file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW)
    var program = self
    program.descriptors = [nothing.raw, log.raw, log.raw]
    return try program.start()
  }

  /// execve(2): this process becomes the program, with its descriptors and its terminal.
  ///
  /// - Throws: when that failed; else it does not return
  public func replace() throws(SystemError) {
    let argv = CStringVector(arguments)
    let envp = CStringVector(environment ?? Process.environment())
    try check("run \(path.text)") { unsafe execve(path.cString, argv.pointers, envp.pointers) }
  }
}

extension Process {
  /// The exit status of a child, which is killed at the deadline.
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
