// Moving bytes between a socket and a pipe with splice(2), without a copy through this process;
// read(2) and write(2) for the cases that splice(2) cannot handle.

import CSystem
import Glibc

/// The result of one attempt to move bytes.
public enum Transfer: Equatable, Sendable {
  case moved(Int)
  /// The source is empty or the target is full.
  case wouldBlock
  case endOfFile
  case failed(CInt)

  /// Moves bytes with splice(2).
  ///
  /// - Parameters:
  ///   - source: a non-blocking socket or pipe
  ///   - target: the same; one of the two is a pipe
  ///   - limit: the most bytes to move
  public static func splice(from source: CInt, to target: CInt, atMost limit: Int) -> Transfer {
    let count = csystem_splice(source, target, limit)
    if count > 0 { return .moved(count) }
    if count == 0 { return .endOfFile }
    return -count == Int(EAGAIN) ? .wouldBlock : .failed(CInt(-count))
  }

  /// Reads bytes with read(2). read(2) skips urgent data of TCP (tcp(7)). splice(2) never gets past
  /// urgent data: it reports an empty source or end of file (tcp.c, `tcp_read_sock`).
  ///
  /// - Parameters:
  ///   - source: non-blocking
  ///   - buffer: receives the bytes
  public static func read(
    from source: CInt, into buffer: UnsafeMutableRawBufferPointer
  ) -> Transfer {
    attempt { unsafe Glibc.read(source, buffer.baseAddress, buffer.count) }
  }

  /// Writes bytes with write(2).
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
