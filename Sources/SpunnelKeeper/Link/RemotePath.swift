// The path of a unix socket on a node. For `R:/path` it is cleared before sshd binds it, and at the end.
//
// sshd removes no such socket when it stops listening, and with `StreamLocalBindUnlink` it removes whatever has
// the name, a user's file as well. So a shell of the user's looks, over the same ssh. The sshd of a tunnel through
// srun runs no shell: `spunnel-sshd` takes the path out of the command and does the same (paths.c).

import Glibc
import SpunnelSystem
import SpunnelTunnel

enum RemotePath {
  enum Answer: Equatable {
    /// Nothing is there any more.
    case free
    /// Something is there that is no socket of the user's.
    case taken
    /// Somebody listens there.
    case busy
    /// The node runs no command for the tunnel: sshd may forbid it.
    case unknown
    /// ssh is gone.
    case lost
  }

  /// Milliseconds that a node's shell may take.
  private static let patience = 5000

  /// Removes a socket of the user's that nobody listens on, and nothing else. Without `'`, `!` and lines of its
  /// own: the login shell that it is handed to may be any.
  private static let script =
    "p=$1; if [ -L \"$p\" ]; then exit 44; fi; if [ -e \"$p\" ]; then :; else exit 40; fi; "
    + "if [ -S \"$p\" ] && [ -O \"$p\" ]; then :; else exit 44; fi; "
    + "while read -r a b c d e f g q; do if [ \"$q\" = \"$p\" ]; then exit 45; fi; "
    + "done </proc/net/unix; rm -f \"$p\"; if [ -e \"$p\" ]; then exit 44; fi; exit 40"

  /// Tells whether anything has the name, and whether a process listens there. A name that leads over a link is
  /// not the one that the kernel lists.
  private static let lookScript =
    "p=$1; if [ -e \"$p\" ] || [ -L \"$p\" ]; then :; else exit 40; fi; "
    + "while read -r a b c d e f g q; do if [ \"$q\" = \"$p\" ]; then exit 45; fi; "
    + "done </proc/net/unix; exit 44"

  private static func command(_ script: String, _ path: String) -> String? {
    // A shell of the csh kind would take it for a command of its history.
    if path.utf8.contains(where: { [UInt8(ascii: "'"), UInt8(ascii: "!")].contains($0) }) {
      return nil
    }
    return "exec /bin/sh -c '\(script)' sh '\(path)'"
  }

  /// Has a path cleared.
  ///
  /// - Parameters:
  ///   - master: an ssh that has logged in
  ///   - answer: told once
  static func clear(
    _ path: String, _ loop: EventLoop, _ master: ControlMaster, answer: @escaping (Answer) -> Void
  ) { run(script, path, loop, master, answer: answer) }

  /// Finds out why sshd connects to no socket of that name, which it does not say itself.
  ///
  /// - Parameter answer: told once; `unreached` where nothing is known
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
