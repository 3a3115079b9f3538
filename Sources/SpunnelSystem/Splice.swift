// Moving bytes between a socket and a pipe without copying them through this process: splice(2).

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
}
