// Other programs, started as the product starts them, with their output caught.

import Glibc
import SpunnelSystem

/// A running shell script.
final class Helper {
  let child: pid_t
  private let output: End
  private var isWaitedFor = false

  /// - Parameters:
  ///   - script: for sh(1)
  ///   - words: `$1` and so on
  ///   - user: whom it runs as; needs root
  convenience init(_ script: String, _ words: [String] = [], as user: uid_t? = nil) throws {
    var arguments = ["/bin/bash", "-c", script, "sh"] + words
    if let user {
      arguments = ["/usr/bin/setpriv", "--reuid=\(user)", "--clear-groups"] + arguments
    }
    try self.init(
      Program(path: arguments[0], arguments: arguments, environment: helperPath, descriptors: []))
  }

  /// - Parameter program: its descriptors are replaced; what it writes is caught
  init(_ program: Program, _ descriptors: (CInt, CInt) -> [CInt] = { [$0, $1, $1] }) throws {
    var program = program
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    let pipe = try FileDescriptor.pipe()
    program.descriptors = descriptors(null.raw, pipe.writer.raw)
    child = try program.start()
    output = try End(pipe.reader)
  }

  deinit { if !isWaitedFor { Process.end(group: child, patience: 0) } }

  /// What it has written by now.
  var said: String {
    output.receive()
    return output.text
  }

  /// Waits for its end.
  ///
  /// - Returns: its exit status; `nil` when it did not end
  func status() -> Int? {
    var status: Int?
    _ = eventually {
      if case .ended(let code) = Process.poll(child) { status = code }
      return status != nil
    }
    if status == nil { Process.end(group: child, patience: 0) }
    isWaitedFor = true
    return status
  }

  /// Waits for its end and for all that it wrote.
  func all() -> String {
    _ = eventually {
      output.receive()
      return output.sawEnd
    }
    _ = status()
    return output.text
  }

  /// To be called when something else waited for the child.
  func wasWaitedFor() { isWaitedFor = true }
}

/// The environment of helpers.
let helperPath: [ByteString] = ["PATH=/usr/bin:/bin"]

/// A process's state as proc(5) has it, `nil` when it is gone.
func stateOfProcess(_ process: pid_t) -> Character? {
  guard let directory = try? Directory.open("/proc/\(process)"),
    let stat = try? directory.read("stat", atMost: 4096)
  else { return nil }
  return String(decoding: stat, as: UTF8.self).split(separator: ") ").last?.first
}

/// Whether a process runs: not gone, and not only waiting to be reaped by somebody.
func isRunning(_ process: pid_t) -> Bool {
  let state = stateOfProcess(process)
  return state != nil && state != "Z" && state != "X"
}
