// The relay of one connection: bytes between a client's socket and the service's.
//
// Ownership: the pump owns both sockets and closes them together. If ssh has closed its socket
// earlier, the pump closes that one first. A direction with bulk data on its way borrows a pipe
// from the pool. Bytes that the target does not take are kept, and nothing is read before they are
// taken. So the sockets themselves give the backpressure, and a peer that does not read delays no
// other connection.
//
//     client ──▶ pipe ──▶ service (ssh)      end of file: shutdown(2) of the other socket
//     client ◀── pipe ◀── service (ssh)
//
// Both sockets are watched edge-triggered: a turn goes on until the source is empty or the target
// is full. `.output` is watched only while a direction waits for room. ssh makes room with each
// message that it reads, and each would wake the keeper for nothing.

import Glibc
import SpunnelSystem

/// How a relay ended.
enum PumpEnd: Equatable {
  /// Both sides have sent end of file.
  case complete
  /// One side broke the connection, or it was cut.
  case broken
  /// The service's side broke the connection before it sent a byte, as it does if the far end
  /// refused.
  case unanswered
}

/// What the pump knows about a service's end of file.
struct ServiceEnd: Equatable {
  /// Whether the service's socket was closed; `false`: only its direction was shut down.
  let isClosed: Bool
  /// Whether no byte went either way. If the far end refused the channel, ssh reads nothing for it.
  /// Bytes that the client sent are then unread when ssh closes the socket, so the pump sees a
  /// reset instead (unix(7), `ECONNRESET`).
  let mayBeRefusal: Bool
}

/// Asks, at the service's end of file, whether the connection was cut: ssh is dying, or there never
/// was a service.
///
/// - Parameter answer: to be called once, at once or later
typealias CutQuestion = (_ end: ServiceEnd, _ answer: @escaping (Bool) -> Void) -> Void

final class Pump: EventHandler {
  private static let events: Readiness = [.input, .peerClosed, .edges]

  private let loop: EventLoop
  private let pool: PipePool
  private var client: FileDescriptor?
  private var service: FileDescriptor?
  private var outward = Flow()
  private var inward = Flow()
  /// The sockets that are watched for `.output`.
  private var awaitsRoom = (client: false, service: false)
  /// The events of the service's socket so far.
  private var serviceEnd: Readiness = []
  private let askIfCut: CutQuestion
  private let clientIsGone: () -> Bool
  private var isAsking = false
  /// Whether the service's end was passed on to the client.
  private var hasPassedEnd = false
  private var finished: ((PumpEnd) -> Void)?
  private let moved: () -> Void
  private var isPostponed = false

  /// Bytes from the client.
  var sent: Int { outward.total }
  /// Bytes to the client.
  var received: Int { inward.total }
  /// The first bytes to the client.
  var answer: UInt64 { inward.beginning }

  /// Takes both sockets; `start` begins.
  ///
  /// - Parameters:
  ///   - client: a connected, non-blocking stream socket
  ///   - service: the same, to ssh
  ///   - pool: lends pipes
  ///   - askIfCut: called at the service's end of file
  ///   - clientIsGone: called at the client's end of file; whether no process has the client's
  ///     socket open, so that no process would read an answer
  ///   - moved: called after bytes have moved
  ///   - finished: called once, after both sockets are closed
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

  /// Begins. `finished` may be called before this function returns.
  func start() throws(SystemError) {
    if let raw = client?.raw { try loop.add(raw, Pump.events.union(.urgent), self) }
    if let raw = service?.raw { try loop.add(raw, Pump.events, self) }
    // Most clients speak first, and this client has had time to.
    work(outward: true, inward: false)
  }

  /// Breaks the connection. A client that has not seen the service's end yet sees a reset. So it
  /// cannot take the cut for the end.
  func cut() { end(.broken) }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    let isEnding = !readiness.isDisjoint(with: [.peerClosed, .hangUp])
    let mayRead = isEnding || !readiness.isDisjoint(with: [.input, .error])
    let hasRoom = !readiness.isDisjoint(with: [.output, .error])
    if descriptor == client?.raw {
      if readiness.contains(.error) { return end(.broken) }
      // From now on, because the client may send more urgent data.
      if readiness.contains(.urgent) { outward.meetUrgentData() }
      if isEnding { outward.expectEnd() }
      if hasRoom && !inward.isFull { leaveRoom() }
      work(outward: mayRead && !outward.isFull, inward: hasRoom && inward.isFull)
    } else {
      if isEnding { inward.expectEnd() }
      serviceEnd.formUnion(readiness)
      // ssh has closed its socket: further bytes from the client reach no process.
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
    // If the service has not answered yet, we still have to learn whether it exists.
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

  // MARK: Waiting for room

  /// Watches the full sockets for room. If a socket has room by now, the event comes at once.
  private func awaitRoom() {
    watchRoom(
      client: awaitsRoom.client || inward.isFull, service: awaitsRoom.service || outward.isFull)
  }

  /// Stops watching for room that no direction waits for. A direction with bulk data will soon wait
  /// again, so its watch stays.
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
    // If the end of file came before the hang-up, the service sent it on purpose, even if ssh has
    // closed the socket since.
    let isClosed =
      serviceEnd.contains(.hangUp)
      || !serviceEnd.contains(.peerClosed) && (service?.isHungUp() ?? true)
    let end = ServiceEnd(isClosed: isClosed, mayBeRefusal: received == 0 && sent == 0)
    // The question needs a descriptor, and this may be the only one to become free.
    if end.isClosed { closeService() }
    askIfCut(end) { [weak self] isCut in self?.ended(isCut: isCut) }
  }

  /// Closes the service's socket, because ssh has closed its end.
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
    // shutdown(2) comes before the close: close(2) sends a reset if the client's bytes are unread.
    _ = shutdown(target, CInt(SHUT_WR))
    endIfOver()
  }

  /// Goes on in a later turn. No edge reports bytes that have already arrived.
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
    // A client that was already told of the end needs no reset.
    if let raw = client?.raw, end != .complete, !hasPassedEnd { Socket.resetOnClose(raw) }
    client = nil
    service = nil
    outward.drop(pool)
    inward.drop(pool)
    finished(end)
  }
}
