// Moving bytes between a socket and a pipe without copying them through this process, splice(2), and
// with a copy where that does not do.

import CSystem
import Glibc

/// What one attempt to move bytes came to.
public enum Transfer: Equatable, Sendable {
  case moved(Int)
  /// The source is empty or the target is full.
  case wouldBlock
  case endOfFile
  case failed(CInt)

  /// - Parameters:
  ///   - source: a non-blocking socket or pipe
  ///   - target: the same; one of the two is a pipe
  ///   - limit: bytes at the most
  public static func splice(from source: CInt, to target: CInt, atMost limit: Int) -> Transfer {
    let count = csystem_splice(source, target, limit)
    if count > 0 { return .moved(count) }
    if count == 0 { return .endOfFile }
    return -count == Int(EAGAIN) ? .wouldBlock : .failed(CInt(-count))
  }

  /// read(2), which passes urgent data of TCP (tcp(7)) and leaves it out. In front of it splice(2) stops
  /// for good, as if there were nothing, or as if it were the end (tcp.c, `tcp_read_sock`).
  ///
  /// - Parameters:
  ///   - source: non-blocking
  ///   - buffer: receives what was read
  public static func read(
    from source: CInt, into buffer: UnsafeMutableRawBufferPointer
  ) -> Transfer {
    attempt { unsafe Glibc.read(source, buffer.baseAddress, buffer.count) }
  }

  /// write(2).
  ///
  /// - Parameter target: non-blocking
  public static func write(_ bytes: UnsafeRawBufferPointer, to target: CInt) -> Transfer {
    attempt { unsafe Glibc.write(target, bytes.baseAddress, bytes.count) }
  }

  private static func attempt(_ call: () -> Int) -> Transfer {
    while true {
      let count = call()
      if count > 0 { return .moved(count) }
      if count == 0 { return .endOfFile }
      let code = errno
      if code == EINTR { continue }
      return code == EAGAIN ? .wouldBlock : .failed(code)
    }
  }
}
