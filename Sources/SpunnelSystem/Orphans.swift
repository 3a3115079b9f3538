// Processes that have lost their parent, and end with the one that started them.

import CSystem
import Glibc

extension Process {
  /// Has those of this process's descendants that lose their parent become its children (prctl(2),
  /// `PR_SET_CHILD_SUBREAPER`).
  public static func adoptOrphans() { csystem_adopt_orphans() }

  /// waitpid(2) for one child, for as long as it takes, and for the adopted that end meanwhile.
  public static func waitAmongOrphans(for child: pid_t) {
    while let ended = try? check("waitpid", { waitpid(-1, nil, 0) }), ended != child {}
  }

  /// Ends the adopted that are left. One that has a session of its own has taken leave, as a daemon does, and
  /// is left alone.
  ///
  /// - Parameters:
  ///   - rest: milliseconds in which they may end by themselves
  ///   - patience: milliseconds between TERM and KILL
  public static func endOrphans(rest: Int, patience: Int) {
    endAll(rest: rest, patience: patience) {
      while waitpid(-1, nil, WNOHANG) > 0 {}
      return orphans()
    }
  }

  /// The children of this process, which has one thread, in its session (proc(5), `children`).
  private static func orphans() -> [pid_t] {
    let file = "/proc/self/task/\(getpid())/children"
    guard let list = try? FileDescriptor.open(file, O_RDONLY),
      let bytes = try? list.read(atMost: 1 << 16)
    else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
      .filter { getsid($0) == getsid(0) }
  }
}
