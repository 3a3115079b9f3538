// Everything that a session has started, on this node: ended with it, whatever left its group or session.

import Glibc
import SpunnelSystem

enum Descendants {
  /// Ends all descendants of this process, which adopts those that lose their parent: TERM and HUP, a bounded
  /// wait, KILL. Slurm's proctrack/linuxproc would lose some of them.
  ///
  /// - Parameter patience: milliseconds between TERM and KILL
  static func end(patience: Int) {
    // An interactive shell ignores TERM.
    Process.endAll(patience: patience, asking: [SIGTERM, SIGHUP, SIGCONT]) {
      while waitpid(-1, nil, WNOHANG) > 0 {}
      return all()
    }
  }

  /// Children and their children, from /proc/PID/task/TID/children (proc(5)).
  static func all() -> [pid_t] {
    var found: [pid_t] = []
    var next = children(of: getpid())
    while let process = next.popLast() {
      found.append(process)
      next += children(of: process)
    }
    return found
  }

  private static func children(of process: pid_t) -> [pid_t] {
    guard let threads = try? Directory.open("/proc/\(process)/task").names() else { return [] }
    return threads.flatMap { thread -> [pid_t] in
      let path = "/proc/\(process)/task/\(thread)/children"
      guard let list = try? FileDescriptor.open(path, O_RDONLY),
        let bytes = try? list.content(expecting: 0, atMost: 1 << 20)
      else { return [] }
      return String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
    }
  }
}
