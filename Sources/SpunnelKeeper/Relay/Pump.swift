// The relay of one connection: bytes between a client's socket and the service's.
//
// Who owns what: the pump owns both sockets and closes them together, but one that ssh has closed
// sooner; a direction with bulk on its way borrows a pipe of the pool. What the target does not take is
// kept, and nothing is read before it has been taken, so backpressure is the sockets' own, and a peer
// that does not read stops nobody else.
//
//     client ──▶ pipe ──▶ service (ssh)      end of file: shutdown(2) of the other socket
//     client ◀── pipe ◀── service (ssh)
//
// Both sockets are watched for edges: a turn goes on until the source is empty or the target is full. Room
// in a socket is watched for only while a direction waits for it: ssh makes some with each message that it
// reads, and would wake the keeper for nothing.

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
  private static let events: Readiness = [.input, .peerClosed, .edges]

  private let loop: EventLoop
  private let pool: PipePool
  private var client: FileDescriptor?
  private var service: FileDescriptor?
  private var outward = Flow()
  private var inward = Flow()
  /// The sockets of which it is watched whether they have room again.
  private var awaitsRoom = (client: false, service: false)
  /// What events have told of the service's end.
  private var serviceEnd: Readiness = []
  private let askIfCut: CutQuestion
  private let clientIsGone: () -> Bool
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
  /// The first bytes of them.
  var answer: UInt64 { inward.beginning }

  /// - Parameters:
  ///   - client: a connected, non-blocking stream socket
  ///   - service: the same, to ssh
  ///   - pool: where pipes are borrowed
  ///   - askIfCut: asked at the service's end of file
  ///   - clientIsGone: asked at the client's end of file, whether no process has its socket open, so that
  ///     nobody is left to read an answer
  ///   - moved: told after bytes have moved
  ///   - finished: told once; both sockets are closed by then
  init(
    _ loop: EventLoop, client: consuming FileDescriptor, service: consuming FileDescriptor,
    pool: PipePool, askIfCut: @escaping CutQuestion,
    clientIsGone: @escaping () -> Bool = { false }, moved: @escaping () -> Void,
    finished: @escaping (PumpEnd) -> Void
  ) {
    self.loop = loop
    self.pool = pool
    self.client = consume client
    self.service = consume service
    self.askIfCut = askIfCut
    self.clientIsGone = clientIsGone
    self.moved = moved
    self.finished = finished
  }

  /// Begins; `finished` may be told before this returns.
  func start() throws(SystemError) {
    if let raw = client?.raw { try loop.add(raw, Pump.events.union(.urgent), self) }
    if let raw = service?.raw { try loop.add(raw, Pump.events, self) }
    // Most clients speak first, and this one has had time to.
    work(outward: true, inward: false)
  }

  /// Breaks the connection: a client that has not been told the end sees a reset, and cannot take the cut for
  /// one.
  func cut() { end(.broken) }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    let isEnding = !readiness.isDisjoint(with: [.peerClosed, .hangUp])
    let mayRead = isEnding || !readiness.isDisjoint(with: [.input, .error])
    let hasRoom = !readiness.isDisjoint(with: [.output, .error])
    if descriptor == client?.raw {
      if readiness.contains(.error) { return end(.broken) }
      // Once and for all: whoever has sent some may send more.
      if readiness.contains(.urgent) { outward.meetUrgentData() }
      if isEnding { outward.expectEnd() }
      if hasRoom && !inward.isFull { leaveRoom() }
      work(outward: mayRead && !outward.isFull, inward: hasRoom && inward.isFull)
    } else {
      if isEnding { inward.expectEnd() }
      serviceEnd.formUnion(readiness)
      // ssh has closed its socket: what the client says from now on reaches nobody.
      if readiness.contains(.hangUp) { outward.stop(pool) }
      if hasRoom && !outward.isFull { leaveRoom() }
      work(outward: hasRoom && outward.isFull, inward: mayRead && !inward.isFull)
    }
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
    case .empty, .deaf: return
    case .full: awaitRoom()
    case .busy: postpone()
    case .ended: endOutward(target)
    case .broken: end(.broken)
    }
  }

  private func endOutward(_ target: CInt) {
    if inward.isOver && !isAsking { return }
    // Of a service that has not answered yet it is still to be learnt whether there is one.
    if received > 0, clientIsGone() { return end(.complete) }
    _ = shutdown(target, CInt(SHUT_WR))
  }

  private func pumpInward() {
    guard let source = service?.raw, let target = client?.raw else { return }
    switch inward.move(from: source, to: target, pool) {
    case .empty: return
    case .full: awaitRoom()
    case .busy: postpone()
    case .ended: askAboutEnd()
    case .broken: breakInward()
    case .deaf: end(.broken)
    }
  }

  // MARK: Room

  /// Has room reported of the sockets that have none; of one that has some by now at once.
  private func awaitRoom() {
    watchRoom(
      client: awaitsRoom.client || inward.isFull, service: awaitsRoom.service || outward.isFull)
  }

  /// Room that nothing waits for is not reported any more, unless it is about to be waited for again.
  private func leaveRoom() {
    watchRoom(
      client: awaitsRoom.client && (inward.isFull || inward.carriesBulk),
      service: awaitsRoom.service && (outward.isFull || outward.carriesBulk))
  }

  private func watchRoom(client awaitsClient: Bool, service awaitsService: Bool) {
    let before = awaitsRoom
    awaitsRoom = (awaitsClient, awaitsService)
    do throws(SystemError) {
      if awaitsClient != before.client, let raw = client?.raw {
        let events = Pump.events.union(.urgent)
        try loop.change(raw, awaitsClient ? events.union(.output) : events)
      }
      if awaitsService != before.service, let raw = service?.raw {
        try loop.change(raw, awaitsService ? Pump.events.union(.output) : Pump.events)
      }
    } catch { end(.broken) }
  }

  // MARK: The service's end

  private func askAboutEnd() {
    isAsking = true
    // An end that came alone was meant, whatever has become of ssh since.
    let isClosed =
      serviceEnd.contains(.hangUp)
      || !serviceEnd.contains(.peerClosed) && (service?.isHungUp() ?? true)
    let end = ServiceEnd(isClosed: isClosed, mayBeRefusal: received == 0 && sent == 0)
    // The question needs a descriptor, and there may be no other.
    if end.isClosed { closeService() }
    askIfCut(end) { [weak self] isCut in self?.ended(isCut: isCut) }
  }

  /// Nobody is at its other end any more.
  private func closeService() {
    outward.stop(pool)
    if let raw = service?.raw { loop.forget(raw) }
    service = nil
  }

  private func breakInward() { end(received == 0 ? .unanswered : .broken) }

  private func ended(isCut: Bool) {
    isAsking = false
    if isCut { return breakInward() }
    guard let target = client?.raw else { return }
    hasPassedEnd = true
    Socket.endOnClose(target)
    // Before the close: where the client has sent what nobody read, that is a reset.
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
    for raw in [client?.raw, service?.raw].compactMap({ $0 }) { loop.forget(raw) }
    // One that has all there is for it takes no cut for an end.
    if let raw = client?.raw, end != .complete, !hasPassedEnd { Socket.resetOnClose(raw) }
    client = nil
    service = nil
    outward.drop(pool)
    inward.drop(pool)
    finished(end)
  }
}
