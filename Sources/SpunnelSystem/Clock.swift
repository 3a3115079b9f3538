// The time: of a clock that is never set back, and of the wall clock.

import Glibc

/// Time for deadlines and for people.
public enum Clock {
  /// Milliseconds of the monotonic clock (`CLOCK_BOOTTIME`), which also counts while the machine
  /// sleeps.
  public static func milliseconds() -> Int { read(CLOCK_BOOTTIME) }

  /// Milliseconds since 1970 (`CLOCK_REALTIME`).
  public static func wallMilliseconds() -> Int { read(CLOCK_REALTIME) }

  private static func read(_ clock: clockid_t) -> Int {
    var now = timespec()
    _ = unsafe clock_gettime(clock, &now)
    return Int(now.tv_sec) * 1000 + Int(now.tv_nsec) / 1_000_000
  }
}
