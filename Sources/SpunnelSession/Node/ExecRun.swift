// `spunnel-session exec`: runs the session's command in a terminal of the session, and notes how it ended.

import Glibc
import SpunnelSystem

enum ExecRun {
  private static let file = "status"
  private static let words = "command"

  /// Lays a command down for `run`, byte for byte.
  static func keep(_ command: [ByteString], in path: String) throws(SessionFailure) {
    do throws(SystemError) {
      let directory = try Directory.open(path)
      try directory.replace(words, with: Array(command.flatMap { $0.bytes + [0] }))
    } catch { throw .refused("\(error)") }
  }

  private static func command() -> [ByteString] {
    guard let path = Process.environment("XDG_RUNTIME_DIR"),
      let directory = try? Directory.open(path),
      let bytes = try? directory.read(words, atMost: 1 << 22)
    else { return [] }
    return bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast()
      .map { ByteString(bytes: $0) }
  }

  /// - Returns: the command's exit status
  static func run() -> CInt {
    let command = command()
    guard let name = command.first else { return 2 }
    let searchPath = ByteString(Process.environment("PATH") ?? "/usr/bin:/bin")
    guard let path = Program.find(name, searchPath: searchPath) else {
      StandardStream.error.write(
        line: "spunnel-session: run '\(name.text)': not found on this node")
      return note(127)
    }
    // What is typed for the command is not meant for us.
    for number in [SIGINT, SIGQUIT, SIGTSTP] { _ = signal(number, SIG_IGN) }
    do throws(SystemError) {
      // The child stays in our process group: the terminal's foreground.
      switch try Process.fork() {
      case .parent(let child): return note(wait(for: child))
      case .child:
        for number in [SIGINT, SIGQUIT, SIGTSTP] { _ = signal(number, SIG_DFL) }
        try Program(path: path, arguments: command, environment: nil, descriptors: []).replace()
      }
    } catch { StandardStream.error.write(line: "spunnel-session: \(error)") }
    return note(126)
  }

  private static func wait(for child: pid_t) -> CInt {
    var status: CInt = 0
    _ = try? check("waitpid") { unsafe waitpid(child, &status, 0) }
    return Process.exitCode(status)
  }

  private static func note(_ status: CInt) -> CInt {
    if let path = Process.environment("XDG_RUNTIME_DIR"),
      let directory = try? Directory.open(path)
    {
      try? directory.replace(file, with: Array("\(status)\n".utf8))
    }
    return status
  }

  /// How the session's command ended, `nil` when there was none or it still runs.
  static func status(in path: String) -> Int? {
    guard let directory = try? Directory.open(path),
      let bytes = try? directory.read(file, atMost: 16)
    else { return nil }
    return Int(String(decoding: bytes, as: UTF8.self).filter { $0 != "\n" })
  }
}
