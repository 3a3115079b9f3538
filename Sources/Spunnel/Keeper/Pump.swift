// The relay of one connection: what ssh writes to a pipe goes to the client's socket.
//
// Who owns what: the pump owns the client's socket and the pipe, and closes each when its part is
// over. The kernel owns the bytes: they are spliced and never seen here, so backpressure is the
// pipe's and the socket's own, and a peer that does not read stops nobody else.
//
//     client ─────────────────────▶ ssh ──▶ service      end of file: ssh reads it by itself
//     client ◀── inward pipe   ◀─── ssh ◀── service      end of file: shutdown(2) of the socket
//
// Outward ssh reads the very socket: nothing to relay, as fast as plain `ssh -L`. Inward it could
// write to it as well, but ends that direction by closing its descriptor, which the client would
// not see as long as the socket is open for the other one.
//
// All descriptors are watched for edges, so every turn goes on until a call would block: a splice
// that moved less than it could have says nothing about either side.

import Glibc
import SpunnelSystem

/// How a relay ended.
enum PumpEnd: Equatable {
  /// Both sides said all they had to say.
  case complete
  /// The client broke the connection, or was cut off.
  case broken
}

final class Pump: EventHandler {
  /// Bytes that one splice may move. It holds the pipe's lock for as long as the socket takes the
  /// bytes, and ssh waits for the lock to write more: little at once keeps both at work.
  private static let chunk = 1 << 17
  /// Splices in a row before the other connections get their turn.
  private static let budget = 16

  private let loop: EventLoop
  private var client: FileDescriptor?
  private var inward: FileDescriptor?
  private var isOutwardOver = false
  private var finished: ((PumpEnd) -> Void)?
  private var moved: (() -> Void)?
  private var isPostponed = false
  private var lastSent = 0

  /// Bytes from the client.
  var sent: Int {
    guard let raw = client?.raw else { return lastSent }
    return Socket.bytesReceived(raw)
  }
  /// Bytes to the client.
  private(set) var received = 0

  /// - Parameters:
  ///   - client: a connected, non-blocking stream socket that ssh reads from
  ///   - inward: the read end of the pipe that ssh writes, non-blocking
  ///   - moved: told after bytes have moved to the client
  ///   - finished: told once; the client's socket is closed by then
  init(
    _ loop: EventLoop, client: consuming FileDescriptor, inward: consuming FileDescriptor,
    moved: @escaping () -> Void, finished: @escaping (PumpEnd) -> Void
  ) {
    self.loop = loop
    self.client = consume client
    self.inward = consume inward
    self.moved = moved
    self.finished = finished
  }

  /// Begins; `finished` may be told before this returns.
  func start() throws(SystemError) {
    // Not for input: that is ssh's.
    if let raw = client?.raw { try loop.add(raw, [.output, .edges], self) }
    if let raw = inward?.raw { try loop.add(raw, [.input, .edges], self) }
  }

  /// ssh reads no more of the client's socket.
  func endOutward() {
    isOutwardOver = true
    endIfComplete()
  }

  /// Breaks the connection: the client sees a reset and cannot take the cut for an end.
  func cut() { end(.broken) }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if descriptor == client?.raw && readiness.contains(.error) { return end(.broken) }
    work()
  }

  private func work() {
    let before = received
    pump()
    if received != before { moved?() }
    endIfComplete()
  }

  private func pump() {
    for _ in 0..<Pump.budget {
      guard let source = inward?.raw, let target = client?.raw else { return }
      switch Transfer.splice(from: source, to: target, atMost: Pump.chunk) {
      case .moved(let count): received += count
      case .wouldBlock: return
      case .endOfFile:
        _ = shutdown(target, CInt(SHUT_WR))
        return closeInward()
      case .failed: return end(.broken)
      }
    }
    postpone()
  }

  /// Goes on in a later turn: no edge will come for what is already there.
  private func postpone() {
    if isPostponed { return }
    isPostponed = true
    loop.postpone { [weak self] in
      self?.isPostponed = false
      self?.work()
    }
  }

  private func closeInward() {
    if let raw = inward?.raw { loop.remove(raw) }
    inward = nil
  }

  private func endIfComplete() {
    if isOutwardOver && inward == nil { end(.complete) }
  }

  private func end(_ end: PumpEnd) {
    guard let finished else { return }
    self.finished = nil
    moved = nil
    if let raw = client?.raw {
      lastSent = Socket.bytesReceived(raw)
      // Not by closing it: ssh has it open, too.
      if end == .broken { Socket.reset(raw) }
      loop.remove(raw)
    }
    client = nil
    closeInward()
    finished(end)
  }
}
