// One direction of a relay: fill a pipe from one socket, drain it into the other. What splice(2)
// does not pass, and what there is no pipe for, is copied.

import Glibc
import SpunnelSystem

struct Flow {
  /// What a turn came to.
  enum Step: Equatable {
    /// The source has nothing, or the target takes nothing now.
    case blocked
    /// There is more; the other connections come first.
    case busy
    /// The source's end of file, with all bytes before it delivered.
    case ended
    /// The target takes no more for good; what was on its way is lost, as it would be without us.
    case deaf
    case broken
  }

  /// Bytes that one splice may move.
  private static let chunk = 1 << 20
  /// Bytes that one copy may hold.
  private static let share = 1 << 16
  /// Fills and drains in a row before the other connections get their turn.
  private static let budget = 16

  private var pipe: PipePool.Loan?
  /// Holds what is on its way and in no pipe.
  private var copy: [UInt8] = []
  private var pending = 0
  /// Whether the source has sent urgent data (tcp(7)).
  var hasMetUrgentData = false
  /// Bytes delivered.
  private(set) var total = 0
  /// Whether nothing will move any more.
  private(set) var isOver = false

  /// Moves bytes until a call would block.
  mutating func move(from source: CInt, to target: CInt, _ pool: PipePool) -> Step {
    if isOver { return .blocked }
    for _ in 0..<Flow.budget {
      let step = pending == 0 ? fill(from: source, pool) : drain(into: target)
      switch step {
      case .busy: continue
      case .blocked: return step
      case .ended, .deaf, .broken:
        stop(pool)
        return step
      }
    }
    return .busy
  }

  /// Nothing more can be delivered.
  mutating func stop(_ pool: PipePool) {
    isOver = true
    drop(pool)
  }

  /// Gives the pipe back; one with bytes in it is closed instead.
  mutating func drop(_ pool: PipePool) {
    if let pipe, pending == 0 { pool.giveBack(pipe) }
    pipe = nil
    copy = []
  }

  /// Only when nothing is on its way: a full pipe and an empty source would look the same.
  private mutating func fill(from source: CInt, _ pool: PipePool) -> Step {
    guard let pipe = pipe ?? pool.borrow() else { return copyIn(from: source, pool) }
    self.pipe = pipe
    switch Transfer.splice(from: source, to: pipe.writer, atMost: Flow.chunk) {
    case .moved(let count):
      pending = count
      return .busy
    case .wouldBlock where !hasMetUrgentData:
      drop(pool)
      return .blocked
    // Urgent data may be in the way; at the end, some that no event has told of yet.
    case .wouldBlock, .endOfFile: return copyIn(from: source, pool)
    case .failed: return .broken
    }
  }

  /// Passes urgent data, and needs no descriptor: an open connection is not cut for want of one.
  private mutating func copyIn(from source: CInt, _ pool: PipePool) -> Step {
    drop(pool)
    switch Transfer.read(from: source, atMost: Flow.share, into: &copy) {
    case .moved(let count):
      pending = count
      return .busy
    case .wouldBlock:
      copy = []
      return .blocked
    case .endOfFile: return .ended
    case .failed: return .broken
    }
  }

  private mutating func drain(into target: CInt) -> Step {
    switch passOn(to: target) {
    case .moved(let count):
      pending -= count
      total += count
      return .busy
    case .wouldBlock: return .blocked
    case .failed(EPIPE): return .deaf
    case .endOfFile, .failed: return .broken
    }
  }

  private func passOn(to target: CInt) -> Transfer {
    guard let pipe else { return Transfer.write(copy.suffix(pending), to: target) }
    return Transfer.splice(from: pipe.reader, to: target, atMost: pending)
  }
}

/// Pipes for bytes on their way. A connection needs one only while it has bytes to pass on, so few
/// are needed for many connections.
final class PipePool {
  /// A pipe in use by one direction.
  final class Loan {
    private let pipe: Pipe
    var reader: CInt { pipe.reader.raw }
    var writer: CInt { pipe.writer.raw }

    // More at once means fewer turns.
    fileprivate init() throws(SystemError) { pipe = try FileDescriptor.pipe(capacity: 1 << 20) }
  }

  /// More lie idle only after a crowd.
  private static let mostIdle = 8
  private var idle: [Loan] = []

  /// - Returns: an empty pipe, `nil` when descriptors are used up
  func borrow() -> Loan? { idle.popLast() ?? (try? Loan()) }

  /// - Parameter loan: an empty pipe
  func giveBack(_ loan: Loan) {
    if idle.count < PipePool.mostIdle { idle.append(loan) }
  }
}
