// The relay of one connection: bytes between a client's socket and the service's.
//
// Who owns what: the pump owns both sockets and closes them together, but one that ssh has closed
// sooner; each direction borrows a pipe of the pool while bytes are on their way. The kernel owns the
// bytes: they are spliced and, but for the few that a Flow copies, never seen here, so backpressure is
// the sockets' own, and a peer that does not read stops nobody else.
//
//     client ──▶ pipe ──▶ service (ssh)      end of file: shutdown(2) of the other socket
//     client ◀── pipe ◀── service (ssh)
//
// Both sockets are watched for edges, so every turn goes on until a call would block.

import Glibc
import SpunnelSystem

/// How a relay ended.
enum PumpEnd: Equatable {
  /// Both sides said all they had to say.
  case complete
  /// One side broke the connection, or it was cut.
  case broken
  /// The service's side broke it before it said anything, as it does when the far end refused.
  case unanswered
}

/// What is known of a service's end of file.
struct ServiceEnd: Equatable {
  /// Whether the service's socket was closed, or only its direction ended.
  let isClosed: Bool
  /// Whether no byte went either way. ssh reads nothing for a channel that the far end refused: what was sent
  /// is there still when it closes the socket, and makes that a reset (unix(7), `ECONNRESET`).
  let mayBeRefusal: Bool
}

/// Asked at the service's end of file, whether it is none because ssh is dying, or never had a
/// service; answers at once or later.
///
/// - Parameter answer: to be told once
typealias CutQuestion = (_ end: ServiceEnd, _ answer: @escaping (Bool) -> Void) -> Void

final class Pump: EventHandler {
  private let loop: EventLoop
  private let pool: PipePool
  private var client: FileDescriptor?
  private var service: FileDescriptor?
  private var outward = Flow()
  private var inward = Flow()
  private let askIfCut: CutQuestion
  private var isAsking = false
  /// Whether the client was told the service's end.
  private var hasPassedEnd = false
  private var finished: ((PumpEnd) -> Void)?
  private let moved: () -> Void
  private var isPostponed = false

  /// Bytes from the client.
  var sent: Int { outward.total }
  /// Bytes to the client.
  var received: Int { inward.total }

  /// - Parameters:
  ///   - client: a connected, non-blocking stream socket
  ///   - service: the same, to ssh
  ///   - pool: where pipes are borrowed
  ///   - askIfCut: asked at the service's end of file
  ///   - moved: told after bytes have moved
  ///   - finished: told once; both sockets are closed by then
  init(
    _ loop: EventLoop, client: consuming FileDescriptor, service: consuming FileDescriptor,
    pool: PipePool, askIfCut: @escaping CutQuestion, moved: @escaping () -> Void,
    finished: @escaping (PumpEnd) -> Void
  ) {
    self.loop = loop
    self.pool = pool
    self.client = consume client
    self.service = consume service
    self.askIfCut = askIfCut
    self.moved = moved
    self.finished = finished
  }

  /// Begins; `finished` may be told before this returns.
  func start() throws(SystemError) {
    let events: Readiness = [.input, .output, .peerClosed, .edges]
    if let raw = client?.raw { try loop.add(raw, events.union(.urgent), self) }
    if let raw = service?.raw { try loop.add(raw, events, self) }
    work(outward: true, inward: true)
  }

  /// Breaks the connection: a client that has not been told the end sees a reset, and cannot take the cut for
  /// one.
  func cut() { end(.broken) }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    let isClient = descriptor == client?.raw
    if isClient && readiness.contains(.error) { return end(.broken) }
    // Once and for all: whoever has sent some may send more.
    if isClient && readiness.contains(.urgent) { outward.hasMetUrgentData = true }
    // ssh has closed its socket: what the client says from now on reaches nobody.
    if !isClient && readiness.contains(.hangUp) { outward.stop(pool) }
    let mayRead = !readiness.isDisjoint(with: [.input, .peerClosed, .hangUp, .error])
    let mayWrite = !readiness.isDisjoint(with: [.output, .error])
    work(outward: isClient ? mayRead : mayWrite, inward: isClient ? mayWrite : mayRead)
  }

  private func work(outward mayOutward: Bool, inward mayInward: Bool) {
    let before = sent + received
    if mayOutward { pumpOutward() }
    if mayInward { pumpInward() }
    if sent + received != before { moved() }
    endIfOver()
  }

  private func endIfOver() {
    if outward.isOver && inward.isOver && !isAsking { end(.complete) }
  }

  private func pumpOutward() {
    guard let source = client?.raw, let target = service?.raw else { return }
    switch outward.move(from: source, to: target, pool) {
    case .blocked, .deaf: return
    case .busy: postpone()
    case .ended: _ = shutdown(target, CInt(SHUT_WR))
    case .broken: end(.broken)
    }
  }

  private func pumpInward() {
    guard let source = service?.raw, let target = client?.raw else { return }
    switch inward.move(from: source, to: target, pool) {
    case .blocked: return
    case .busy: postpone()
    case .ended: askAboutEnd()
    case .broken: breakInward()
    case .deaf: end(.broken)
    }
  }

  private func askAboutEnd() {
    isAsking = true
    let end = ServiceEnd(
      isClosed: service?.isHungUp() ?? true, mayBeRefusal: received == 0 && sent == 0)
    // The question needs a descriptor, and there may be no other.
    if end.isClosed { closeService() }
    askIfCut(end) { [weak self] isCut in self?.ended(isCut: isCut) }
  }

  /// Nobody is at its other end any more.
  private func closeService() {
    outward.stop(pool)
    if let raw = service?.raw { loop.remove(raw) }
    service = nil
  }

  private func breakInward() { end(received == 0 ? .unanswered : .broken) }

  private func ended(isCut: Bool) {
    isAsking = false
    if isCut { return breakInward() }
    guard let target = client?.raw else { return }
    hasPassedEnd = true
    Socket.endOnClose(target)
    _ = shutdown(target, CInt(SHUT_WR))
    endIfOver()
  }

  /// Goes on in a later turn: no edge will come for what is already there.
  private func postpone() {
    if isPostponed { return }
    isPostponed = true
    loop.postpone { [weak self] in
      self?.isPostponed = false
      self?.work(outward: true, inward: true)
    }
  }

  private func end(_ end: PumpEnd) {
    guard let finished else { return }
    self.finished = nil
    for raw in [client?.raw, service?.raw].compactMap({ $0 }) { loop.remove(raw) }
    // One that has all there is for it takes no cut for an end.
    if let raw = client?.raw, end != .complete, !hasPassedEnd { Socket.resetOnClose(raw) }
    client = nil
    service = nil
    outward.drop(pool)
    inward.drop(pool)
    finished(end)
  }
}
