// One direction of a relay. If the bytes fit into one buffer, it reads and writes them: two calls.
// Bulk data is not copied: splice(2) fills a pipe from one socket and drains it into the other. If
// splice(2) refuses, or no pipe is free, bulk data is copied too.

import Glibc
import SpunnelSystem

struct Flow {
  /// The result of a turn.
  enum Step: Equatable {
    /// The source has no bytes now.
    case empty
    /// The target takes no bytes now. The source may have more.
    case full
    /// More bytes can move, after the other connections have had their turn.
    case busy
    /// The source is at end of file, and all bytes before it are delivered.
    case ended
    /// The target will take no more bytes. Bytes on their way are lost, as on a direct connection.
    case deaf
    case broken
  }

  private var pipe: PipePool.Loan?
  /// Bytes on their way that are in no pipe.
  private var copy: [UInt8] = []
  private var pending = 0
  /// Whether the last bytes filled the buffer.
  private var isBulk = false
  /// Whether the source may have more after a read that left room in the buffer. This is so at its
  /// end, which an event has reported. It is also so after urgent data (tcp(7)), because each read
  /// stops in front of it.
  private var mustReadOn = false
  /// Whether the source has ever sent urgent data.
  private var hasMetUrgentData = false
  /// Whether the target took nothing at the last attempt.
  private(set) var isFull = false
  /// The first bytes that were read, at most eight.
  private(set) var beginning: UInt64 = 0
  /// The bytes delivered so far.
  private(set) var total = 0
  /// Whether no more bytes will move.
  private(set) var isOver = false

  /// Notes that the source has sent urgent data, and may send more.
  mutating func meetUrgentData() { (hasMetUrgentData, mustReadOn) = (true, true) }

  /// Notes that the source has sent end of file. Bytes may still come before it.
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

  /// Stops for good: nothing more can be delivered.
  mutating func stop(_ pool: PipePool) {
    isOver = true
    isFull = false
    drop(pool)
  }

  /// Returns the pipe to the pool. If the pipe still has bytes, it is closed instead.
  mutating func drop(_ pool: PipePool) {
    if let pipe, pending == 0 { pool.giveBack(pipe) }
    pipe = nil
    copy = []
  }

  /// Reads into the shared buffer and writes from there.
  private mutating func pass(from source: CInt, to target: CInt, _ pool: PipePool) -> Step {
    drop(pool)
    switch unsafe Transfer.read(from: source, into: pool.buffer) {
    case .moved(let count):
      isBulk = count == Limits.buffer
      if total == 0 { beginning = pool.beginning(atMost: count) }
      let step = unsafe write(UnsafeRawBufferPointer(rebasing: pool.buffer[..<count]), to: target)
      // A read that leaves room has taken all bytes (epoll(7), questions and answers).
      return step == .busy && pending == 0 && !isBulk && !mustReadOn ? .empty : step
    case .wouldBlock: return .empty
    case .endOfFile: return .ended
    case .failed: return .broken
    }
  }

  /// Writes the bytes, and keeps those that the target does not take.
  private mutating func write(_ bytes: UnsafeRawBufferPointer, to target: CInt) -> Step {
    let result = unsafe Transfer.write(bytes, to: target)
    let count = if case .moved(let count) = result { count } else { 0 }
    total += count
    pending = bytes.count - count
    if pending > 0 { copy = unsafe Array(bytes[count...]) }
    return step(result)
  }

  /// Fills the pipe from the source. Only an empty pipe is filled: with a full one, splice(2) would
  /// give the same error as for an empty source.
  private mutating func fill(from source: CInt, _ pool: PipePool) -> Step {
    guard let pipe = pipe ?? pool.borrow() else {
      // Without a free descriptor the connection goes on by copying.
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
    // Urgent data may block splice(2). At the end of file there may be urgent data that no event
    // has reported yet.
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

  /// Translates the result of a delivery.
  private func step(_ delivery: Transfer) -> Step {
    switch delivery {
    case .moved: .busy
    case .wouldBlock: .full
    case .failed(EPIPE): .deaf
    case .endOfFile, .failed: .broken
    }
  }
}

/// Lends pipes for bulk data. A connection needs a pipe only while its bytes are on their way, so
/// few pipes serve many connections.
@safe final class PipePool {
  /// A pipe that one direction uses.
  final class Loan {
    private let pipe: Pipe
    var reader: CInt { pipe.reader.raw }
    var writer: CInt { pipe.writer.raw }

    // A larger pipe means fewer turns.
    fileprivate init() throws(SystemError) { pipe = try FileDescriptor.pipe(capacity: 1 << 20) }
  }

  private var idle: [Loan] = []
  /// The shared buffer: each direction uses it within one call, from read to write. A direction
  /// that fills it carries bulk data.
  let buffer = UnsafeMutableRawBufferPointer.allocate(
    byteCount: Limits.buffer, alignment: 16)

  deinit { unsafe buffer.deallocate() }

  /// The first bytes of the buffer, in their order in memory.
  ///
  /// - Parameter count: the number of bytes that were read
  func beginning(atMost count: Int) -> UInt64 {
    var value: UInt64 = 0
    unsafe withUnsafeMutableBytes(of: &value) {
      unsafe $0.copyBytes(from: buffer.prefix(min(count, $0.count)))
    }
    return value
  }

  /// Lends an empty pipe.
  ///
  /// - Returns: `nil` if no descriptor is free
  func borrow() -> Loan? { idle.popLast() ?? (try? Loan()) }

  /// Takes a pipe back.
  ///
  /// - Parameter loan: an empty pipe
  func giveBack(_ loan: Loan) {
    if idle.count < Limits.idlePipes { idle.append(loan) }
  }
}
