// The relay of one connection: bytes between a client's socket and the two pipes that ssh holds
// the other ends of.
//
// Who owns what: the pump owns the three descriptors and closes each when its part is over. The
// kernel owns the bytes: they are spliced and never seen here, so backpressure is the pipe's and
// the socket's own, and a peer that does not read stops nobody else.
//
//     client ──▶ outward pipe ──▶ ssh ──▶ service        end of file: the pipe is closed
//     client ◀── inward pipe  ◀── ssh ◀── service        end of file: shutdown(2) of the socket
//
// All descriptors are watched for edges, so every turn goes on until a call would block.

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
  /// Bytes that one splice may move; the pipe's capacity bounds it anyway.
  private static let chunk = 1 << 20
  /// Splices in a row before the other connections get their turn.
  private static let budget = 16

  private let loop: EventLoop
  private var client: FileDescriptor?
  private var outward: FileDescriptor?
  private var inward: FileDescriptor?
  private var finished: ((PumpEnd) -> Void)?
  private var moved: (() -> Void)?
  private var isPostponed = false

  /// Bytes from the client.
  private(set) var sent = 0
  /// Bytes to the client.
  private(set) var received = 0

  /// - Parameters:
  ///   - client: a connected, non-blocking stream socket
  ///   - outward: the write end of the pipe that ssh reads, non-blocking
  ///   - inward: the read end of the pipe that ssh writes, non-blocking
  ///   - moved: told after bytes have moved
  ///   - finished: told once; the client's socket is closed by then
  init(
    _ loop: EventLoop, client: consuming FileDescriptor, outward: consuming FileDescriptor,
    inward: consuming FileDescriptor, moved: @escaping () -> Void,
    finished: @escaping (PumpEnd) -> Void
  ) {
    self.loop = loop
    self.client = consume client
    self.outward = consume outward
    self.inward = consume inward
    self.moved = moved
    self.finished = finished
  }

  /// Begins; `finished` may be told before this returns.
  func start() throws(SystemError) {
    if let raw = client?.raw { try loop.add(raw, [.input, .output, .peerClosed, .edges], self) }
    if let raw = outward?.raw { try loop.add(raw, [.output, .edges], self) }
    if let raw = inward?.raw { try loop.add(raw, [.input, .edges], self) }
    work()
  }

  /// Breaks the connection: the client sees a reset and cannot take the cut for an end.
  func cut() { end(.broken) }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if readiness.contains(.error) {
      if descriptor == client?.raw { return end(.broken) }
      // ssh closed its end: the far side wants no more of this connection's bytes.
      if descriptor == outward?.raw { closeOutward() }
    }
    let isClient = descriptor == client?.raw
    work(
      outward: !isClient || !readiness.isDisjoint(with: [.input, .peerClosed, .hangUp]),
      inward: !isClient || readiness.contains(.output))
  }

  private func work(outward mayOutward: Bool = true, inward mayInward: Bool = true) {
    let before = sent + received
    if mayOutward { pumpOutward() }
    if mayInward { pumpInward() }
    if sent + received != before { moved?() }
    if outward == nil && inward == nil { end(.complete) }
  }

  private func pumpOutward() {
    for _ in 0..<Pump.budget {
      guard let source = client?.raw, let target = outward?.raw else { return }
      switch Transfer.splice(from: source, to: target, atMost: Pump.chunk) {
      case .moved(let count): sent += count
      case .wouldBlock: return
      case .endOfFile: return closeOutward()
      case .failed(EPIPE): return closeOutward()
      case .failed: return end(.broken)
      }
    }
    postpone()
  }

  private func pumpInward() {
    for _ in 0..<Pump.budget {
      guard let source = inward?.raw, let target = client?.raw else { return }
      switch Transfer.splice(from: source, to: target, atMost: 131072) {
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

  private func closeOutward() {
    if let raw = outward?.raw { loop.remove(raw) }
    outward = nil
  }

  private func closeInward() {
    if let raw = inward?.raw { loop.remove(raw) }
    inward = nil
  }

  private func end(_ end: PumpEnd) {
    guard let finished else { return }
    self.finished = nil
    moved = nil
    if let raw = client?.raw {
      if end == .broken { Socket.resetOnClose(raw) }
      loop.remove(raw)
    }
    client = nil
    closeOutward()
    closeInward()
    finished(end)
  }
}
