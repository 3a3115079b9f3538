// Processes that have lost their parent, and are ended with the process that started them.

import CSystem
import Glibc

extension Process {
  /// Makes this process the parent of its descendants that lose their own parent (prctl(2),
  /// `PR_SET_CHILD_SUBREAPER`).
  public static func adoptOrphans() { csystem_adopt_orphans() }

  /// Waits for one child without a limit, and reaps adopted children that end in the meantime
  /// (waitpid(2)).
  public static func waitAmongOrphans(for child: pid_t) {
    while let ended = try? check("waitpid", { waitpid(-1, nil, 0) }), ended != child {}
  }

  /// Ends the adopted children that are left. A child with its own session has become a daemon on
  /// purpose and is left alone.
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

  /// The children of this single-threaded process that belong to its session (proc(5), `children`).
  private static func orphans() -> [pid_t] {
    let file = "/proc/self/task/\(getpid())/children"
    guard let list = try? FileDescriptor.open(file, O_RDONLY),
      let bytes = try? list.read(atMost: 1 << 16)
    else { return [] }
    return String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
      .filter { getsid($0) == getsid(0) }
  }
}
