// Ends processes by their ids: first by TERM or other signals, later by KILL.

import Glibc

extension Process {
  /// Microseconds between two checks of the processes that still run.
  private static let ladderPause: UInt32 = 10_000

  /// Ends processes. Each gets the signals once, and SIGKILL after some time. The wait is bounded.
  ///
  /// - Parameters:
  ///   - rest: milliseconds in which the processes may end by themselves, before the signals
  ///   - patience: milliseconds from the signals to SIGKILL; after twice that time more, the
  ///     function gives up
  ///   - signals: ask a process to end
  ///   - left: returns the processes that still run; called repeatedly, because a process may
  ///     start others
  /// - Returns: whether all processes have ended
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
