// Ends processes by their ids: they are asked first and killed later.

import Glibc

extension Process {
  /// Microseconds between two looks at what still runs.
  private static let ladderPause: UInt32 = 10_000

  /// Ends processes: signals ask each once, SIGKILL follows after some time, and the wait is bounded.
  ///
  /// - Parameters:
  ///   - rest: milliseconds in which the processes may end by themselves, before they are asked
  ///   - patience: milliseconds between the question and SIGKILL, and twice that from there to giving up
  ///   - signals: how a process is asked
  ///   - left: tells the processes that still run; it is called again and again, since a process may start others
  /// - Returns: whether no process is left
  @discardableResult
  public static func endAll(
    rest: Int = 0, patience: Int, asking signals: [CInt] = [SIGTERM], _ left: () -> [pid_t]
  ) -> Bool {
    let began = Clock.milliseconds()
    var asked: Set<pid_t> = []
    while true {
      let running = left()
      let elapsed = Clock.milliseconds() - began
      if running.isEmpty { return true }
      if elapsed > rest + 3 * patience { return false }
      for process in running where elapsed >= rest {
        if elapsed >= rest + patience {
          _ = kill(process, SIGKILL)
        } else if asked.insert(process).inserted {
          for signal in signals { _ = kill(process, signal) }
        }
      }
      usleep(ladderPause)
    }
  }
}
