// A shell: tmux in the batch step, on a socket of the session's own.

import Glibc
import SpunnelSystem

/// One tmux server a job. A server that two jobs share would give the second one's shells the environment of
/// the first; a server that an attach step starts would keep that step's CPUs.
package final class ShellKind: SessionKind {
  package static let name = "shell"
  package static let letters = "tmux"
  package static let summary = "Start a shell in tmux, the usual kind."
  package static let needs = "the package tmux"

  /// Milliseconds that tmux may take for its start, and for a question.
  private static let patience = 20_000
  /// Milliseconds that a warning stays on the screen.
  private static let shownFor = 60_000
  /// The session's name inside tmux.
  private static let session = "main"

  package init() {}

  package func start(
    _ place: SessionPlace, command: [ByteString]
  ) throws(SessionFailure) -> SessionOffer {
    // The working directory is this process's own: tmux expands what stands behind -c.
    var words: [ByteString] = ["new-session", "-d", "-s", ByteString(ShellKind.session)]
    if !command.isEmpty {
      // tmux hands a single word to a shell, and a semicolon at a word's end separates its own commands. So the
      // words go by a file, and no program parses them again.
      guard let own = Host.executable else { throw .refused("/proc is not there") }
      try ExecRun.keep(command, in: place.path)
      words += ["--", ByteString(own), "exec"]
    }
    try tmux(place, words)
    // The user's own configuration is read by now; these three the session stands on. A command that has
    // ended already has taken its server along.
    _ = try? tmux(place, ["set-option", "-g", "update-environment", ""])
    _ = try? tmux(place, ["set-option", "-g", "exit-empty", "on"])
    _ = try? tmux(place, ["set-option", "-g", "detach-on-destroy", "on"])
    return SessionOffer()
  }

  /// The server is adopted by the holder when it leaves the tmux that started it.
  package func childEnded(_ child: pid_t, status: Int, _ place: SessionPlace) -> Int? {
    isAlive(place) ? nil : ExecRun.status(in: place.path) ?? 0
  }

  package func warn(_ line: String, _ place: SessionPlace) -> Bool {
    guard let clients = try? tmux(place, ["list-clients", "-F", "#{client_name}"]) else {
      return false
    }
    for client in clients.split(separator: "\n") {
      // tmux expands formats and times in a message.
      let plain = line.split(separator: "#", omittingEmptySubsequences: false)
        .joined(separator: "##").split(separator: "%", omittingEmptySubsequences: false)
        .joined(separator: "%%")
      let rest = [ByteString("-c"), ByteString(String(client)), "--", ByteString(plain)]
      let long: [ByteString] = ["display-message", "-d", ByteString(String(ShellKind.shownFor))]
      // -d is of tmux 3.2 and later.
      if (try? tmux(place, long + rest)) == nil {
        _ = try? tmux(place, ["display-message"] + rest)
      }
    }
    return true
  }

  package func end(_ place: SessionPlace) { _ = try? tmux(place, ["kill-server"]) }

  package static func attachProgram(_ record: SessionRecord, _ manner: AttachManner) -> Program? {
    guard let path = Program.find("tmux") else { return nil }
    var words = ["tmux"]
    if TerminalWords.isUTF8 { words.append("-u") }
    words += ["-S", socket(record.path), "attach-session", "-t", "=" + session]
    switch manner {
    case .alone: words.append("-d")
    case .share: break
    case .readOnly: words.append("-r")
    }
    return Program(path: path, arguments: words, descriptors: [])
  }

  package static func goesOn(_ record: SessionRecord) -> Bool {
    guard let path = Program.find("tmux") else { return false }
    let words = ["-S", socket(record.path), "has-session", "-t", "=" + session]
    let program = Program(path, words, environment: Process.environment())
    return (try? program.capture(milliseconds: patience))?.succeeded ?? false
  }

  private static func socket(_ path: String) -> String { path + "/tmux" }

  private func isAlive(_ place: SessionPlace) -> Bool {
    (try? tmux(place, ["has-session", "-t", "=" + ByteString(ShellKind.session)])) != nil
      || (try? tmux(place, ["list-sessions"])) != nil
  }

  @discardableResult
  private func tmux(
    _ place: SessionPlace, _ words: [ByteString]
  ) throws(SessionFailure) -> String {
    let program = try place.program(
      "tmux", ["-S", ByteString(ShellKind.socket(place.path))] + words, package: "tmux")
    let result: ProgramResult
    do throws(SystemError) {
      result = try program.capture(milliseconds: ShellKind.patience)
    } catch { throw .refused("\(error)") }
    if !result.succeeded { throw .refused("tmux: \(result.lastLine)") }
    return result.output
  }
}
