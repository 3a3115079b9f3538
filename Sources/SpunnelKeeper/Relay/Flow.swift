// One direction of a relay. What fits one buffer is read and written: two calls. A direction that
// carries bulk fills a pipe from one socket and drains it into the other, splice(2), so that its bytes
// are not copied. What splice(2) does not pass, and what there is no pipe for, is copied as well.

import Glibc
import SpunnelSystem

struct Flow {
  /// What a turn came to.
  enum Step: Equatable {
    /// The source has nothing now.
    case empty
    /// The target takes nothing now; there may be more in the source.
    case full
    /// There is more; the other connections come first.
    case busy
    /// The source's end of file, with all bytes before it delivered.
    case ended
    /// The target takes no more for good; what was on its way is lost, as it would be without us.
    case deaf
    case broken
  }

  private var pipe: PipePool.Loan?
  /// Holds what is on its way and in no pipe.
  private var copy: [UInt8] = []
  private var pending = 0
  /// Whether the last bytes were more than one buffer holds.
  private var isBulk = false
  /// Whether a read that leaves room in the buffer may have left something in the source: its end, of
  /// which an event has told, or what follows urgent data (tcp(7)), in front of which every read stops.
  private var mustReadOn = false
  /// Whether the source has sent urgent data.
  private var hasMetUrgentData = false
  /// Whether the target took nothing when it was last asked.
  private(set) var isFull = false
  /// The first bytes that were read, as far as there were eight.
  private(set) var beginning: UInt64 = 0
  /// Bytes delivered.
  private(set) var total = 0
  /// Whether nothing will move any more.
  private(set) var isOver = false

  /// The source has sent urgent data, and may send more.
  mutating func meetUrgentData() { (hasMetUrgentData, mustReadOn) = (true, true) }

  /// The source has sent its end of file; bytes may stand before it.
  mutating func expectEnd() { mustReadOn = true }

  /// Whether the next bytes go through a pipe.
  var carriesBulk: Bool { isBulk }

  /// Moves bytes until the source is empty or the target is full.
  mutating func move(from source: CInt, to target: CInt, _ pool: PipePool) -> Step {
    if isOver { return .empty }
    isFull = false
    for _ in 0..<Limits.stepsInATurn {
      let step =
        if pending > 0 { drain(into: target) } else if isBulk { fill(from: source, pool) } else {
          pass(from: source, to: target, pool)
        }
      switch step {
      case .busy: continue
      case .empty: return step
      case .full:
        isFull = true
        return step
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
    isFull = false
    drop(pool)
  }

  /// Gives the pipe back; one with bytes in it is closed instead.
  mutating func drop(_ pool: PipePool) {
    if let pipe, pending == 0 { pool.giveBack(pipe) }
    pipe = nil
    copy = []
  }

  /// Reads into the buffer of all connections and writes on from there.
  private mutating func pass(from source: CInt, to target: CInt, _ pool: PipePool) -> Step {
    drop(pool)
    switch unsafe Transfer.read(from: source, into: pool.buffer) {
    case .moved(let count):
      isBulk = count == Limits.buffer
      if total == 0 { beginning = pool.beginning(atMost: count) }
      let step = unsafe write(UnsafeRawBufferPointer(rebasing: pool.buffer[..<count]), to: target)
      // A read that leaves room has taken all there was (epoll(7), questions and answers).
      return step == .busy && pending == 0 && !isBulk && !mustReadOn ? .empty : step
    case .wouldBlock: return .empty
    case .endOfFile: return .ended
    case .failed: return .broken
    }
  }

  /// Writes what was read, and keeps what the target does not take.
  private mutating func write(_ bytes: UnsafeRawBufferPointer, to target: CInt) -> Step {
    let result = unsafe Transfer.write(bytes, to: target)
    let count = if case .moved(let count) = result { count } else { 0 }
    total += count
    pending = bytes.count - count
    if pending > 0 { copy = unsafe Array(bytes[count...]) }
    return step(result)
  }

  /// Only when nothing is on its way: a full pipe and an empty source would look the same.
  private mutating func fill(from source: CInt, _ pool: PipePool) -> Step {
    guard let pipe = pipe ?? pool.borrow() else {
      // An open connection is not cut for want of a descriptor.
      isBulk = false
      return .busy
    }
    self.pipe = pipe
    switch Transfer.splice(from: source, to: pipe.writer, atMost: Limits.splice) {
    case .moved(let count):
      pending = count
      isBulk = count >= Limits.buffer
      return .busy
    case .wouldBlock where !hasMetUrgentData:
      drop(pool)
      return .empty
    // Urgent data may be in the way; at the end, some that no event has told of yet.
    case .wouldBlock, .endOfFile:
      isBulk = false
      return .busy
    case .failed: return .broken
    }
  }

  private mutating func drain(into target: CInt) -> Step {
    let result = passOn(to: target)
    if case .moved(let count) = result {
      pending -= count
      total += count
    }
    return step(result)
  }

  private func passOn(to target: CInt) -> Transfer {
    if let pipe { return Transfer.splice(from: pipe.reader, to: target, atMost: pending) }
    return unsafe copy.suffix(pending).withUnsafeBytes { unsafe Transfer.write($0, to: target) }
  }

  /// What an attempt to deliver came to.
  private func step(_ delivery: Transfer) -> Step {
    switch delivery {
    case .moved: .busy
    case .wouldBlock: .full
    case .failed(EPIPE): .deaf
    case .endOfFile, .failed: .broken
    }
  }
}

/// Pipes for bytes on their way. A connection needs one only while it has bytes to pass on, so few
/// are needed for many connections.
@safe final class PipePool {
  /// A pipe in use by one direction.
  final class Loan {
    private let pipe: Pipe
    var reader: CInt { pipe.reader.raw }
    var writer: CInt { pipe.writer.raw }

    // More at once means fewer turns.
    fileprivate init() throws(SystemError) { pipe = try FileDescriptor.pipe(capacity: 1 << 20) }
  }

  private var idle: [Loan] = []
  /// What one direction has read and not written yet, within one call: all have it in turn. A direction
  /// that fills it carries bulk.
  let buffer = UnsafeMutableRawBufferPointer.allocate(
    byteCount: Limits.buffer, alignment: 16)

  deinit { unsafe buffer.deallocate() }

  /// The buffer's first bytes, in their order in memory.
  ///
  /// - Parameter count: bytes that were read
  func beginning(atMost count: Int) -> UInt64 {
    var value: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &value) {
      unsafe $0.copyBytes(from: buffer.prefix(min(count, $0.count)))
    }
    return value
  }

  /// - Returns: an empty pipe, `nil` when descriptors are used up
  func borrow() -> Loan? { idle.popLast() ?? (try? Loan()) }

  /// - Parameter loan: an empty pipe
  func giveBack(_ loan: Loan) {
    if idle.count < Limits.idlePipes { idle.append(loan) }
  }
}
