// The path of a unix socket on a node. For `R:/path` it is cleared before sshd binds it, and again
// at the end.
//
// sshd does not remove the socket when it stops listening. With `StreamLocalBindUnlink` it removes
// any file of that name, even the user's data. So a shell of the user looks first, over the same
// ssh. The sshd of a tunnel through srun runs no shell: `spunnel-sshd` takes the path out of the
// command and does the same (paths.c).

import Glibc
import SpunnelSystem
import SpunnelTunnel

enum RemotePath {
  enum Answer: Equatable {
    /// Nothing has that name any more.
    case free
    /// Something has that name that is not the user's socket.
    case taken
    /// A process listens there.
    case busy
    /// The node runs no command for the tunnel: sshd may forbid it.
    case unknown
    /// ssh is gone.
    case lost
  }

  /// Milliseconds that a node's shell may take.
  private static let patience = 5000

  /// Removes a socket that belongs to the user and that no process listens on, and nothing else.
  /// The script has no `'`, no `!` and no line breaks, because the login shell that gets it may be
  /// any shell.
  private static let script =
    "p=$1; if [ -L \"$p\" ]; then exit 44; fi; if [ -e \"$p\" ]; then :; else exit 40; fi; "
    + "if [ -S \"$p\" ] && [ -O \"$p\" ]; then :; else exit 44; fi; "
    + "while read -r a b c d e f g q; do if [ \"$q\" = \"$p\" ]; then exit 45; fi; "
    + "done </proc/net/unix; rm -f \"$p\"; if [ -e \"$p\" ]; then exit 44; fi; exit 40"

  /// Finds out whether the name exists and whether a process listens there. If a symbolic link
  /// leads to the socket, the kernel lists another name, and the listener is not seen.
  private static let lookScript =
    "p=$1; if [ -e \"$p\" ] || [ -L \"$p\" ]; then :; else exit 40; fi; "
    + "while read -r a b c d e f g q; do if [ \"$q\" = \"$p\" ]; then exit 45; fi; "
    + "done </proc/net/unix; exit 44"

  private static func command(_ script: String, _ path: String) -> String? {
    // csh would take `!` for its history, and `'` would end the quotes.
    if path.utf8.contains(where: { [UInt8(ascii: "'"), UInt8(ascii: "!")].contains($0) }) {
      return nil
    }
    return "exec /bin/sh -c '\(script)' sh '\(path)'"
  }

  /// Removes a path on the node, if it is an unused socket of the user.
  ///
  /// - Parameters:
  ///   - master: an ssh that has logged in
  ///   - answer: called once
  static func clear(
    _ path: String, _ loop: EventLoop, _ master: ControlMaster, answer: @escaping (Answer) -> Void
  ) { run(script, path, loop, master, answer: answer) }

  /// Finds out why sshd cannot connect to a socket of that name, since sshd itself does not say.
  ///
  /// - Parameter answer: called once; `unreached` if nothing is known
  static func look(
    _ path: String, _ loop: EventLoop, _ master: ControlMaster, answer: @escaping (FarEnd) -> Void
  ) {
    run(lookScript, path, loop, master) { found in
      switch found {
      case .free: answer(.refused)
      case .busy: answer(.denied)
      case .taken, .unknown, .lost: answer(.unreached)
      }
    }
  }

  private static func run(
    _ script: String, _ path: String, _ loop: EventLoop, _ master: ControlMaster,
    answer: @escaping (Answer) -> Void
  ) {
    guard let command = command(script, path) else { return answer(.unknown) }
    var told: ((Answer) -> Void)? = answer
    var connection: ControlConnection?
    var timer: EventLoop.Timer?
    func tell(_ answer: Answer) {
      loop.cancel(timer)
      connection?.abandon()
      connection = nil
      let tell = told
      told = nil
      tell?(answer)
    }
    do throws(SystemError) {
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      connection = try master.ask(
        loop, MultiplexRequest.session(command), descriptors: [null.raw, null.raw, null.raw]
      ) { reply in
        switch reply {
        case .opened, .hello: return
        case .exited(40): tell(.free)
        case .exited(44): tell(.taken)
        case .exited(45): tell(.busy)
        case nil: tell(.lost)
        default: tell(.unknown)
        }
      }
      timer = loop.after(milliseconds: patience) { tell(.unknown) }
    } catch { tell(error.isExhaustion ? .unknown : .lost) }
  }
}
