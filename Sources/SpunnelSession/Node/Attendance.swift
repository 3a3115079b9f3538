// Who is attached: each attach step has a file in the runtime directory with its process's number.

import Glibc
import SpunnelSystem

enum Attendance {
  private static let prefix = "attached."

  /// Notes that this process shows the session at a terminal.
  static func begin(in path: String) {
    guard let directory = try? Directory.open(path) else { return }
    // The terminal's name, for warnings of kinds that have no place for one.
    let terminal = (try? Directory.open("/proc/self/fd").target(of: "0")) ?? ""
    try? directory.replace("\(prefix)\(getpid())", with: Array(terminal.utf8))
  }

  static func end(in path: String) {
    guard let directory = try? Directory.open(path) else { return }
    directory.remove("\(prefix)\(getpid())")
  }

  /// How many terminals are attached. A file whose process was killed is removed.
  static func count(in path: String) -> Int { living(in: path).count }

  /// Writes a line to the terminals that are attached.
  ///
  /// - Returns: whether there was one
  static func tell(_ line: String, in path: String) -> Bool {
    var isTold = false
    for name in living(in: path) {
      guard let directory = try? Directory.open(path),
        let bytes = try? directory.read(name, atMost: 256)
      else { continue }
      let terminal = String(decoding: bytes, as: UTF8.self)
      guard terminal.hasPrefix("/dev/"), terminal != "/dev/null",
        let file = try? FileDescriptor.open(terminal, O_WRONLY | O_NOCTTY | O_NONBLOCK)
      else { continue }
      isTold = (try? file.writeAll(Array("\r\n\u{7}spunnel: \(line)\r\n".utf8))) != nil || isTold
    }
    return isTold
  }

  private static func living(in path: String) -> [String] {
    guard let directory = try? Directory.open(path), let names = try? directory.names() else {
      return []
    }
    return names.filter { name in
      guard name.hasPrefix(prefix), let process = pid_t(name.dropFirst(prefix.count)) else {
        return false
      }
      if ProcessTable.isRunning(process) { return true }
      directory.remove(name)
      return false
    }
  }
}
