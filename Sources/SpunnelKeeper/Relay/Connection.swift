// One accepted connection from the owner's process to the service. It waits until ssh is up, then
// it pumps bytes.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class Connection {
  private enum Phase { case waiting, pumping, ended }

  /// The route to the service.
  let route: Route
  /// The route on which the client arrived. It differs from `route` only with SOCKS.
  let entrance: Route
  private let loop: EventLoop
  private let pool: PipePool
  private var client: FileDescriptor?
  private var phase = Phase.waiting
  private var expiry: EventLoop.Timer?
  private var pump: Pump?
  private let askIfCut: CutQuestion
  private let clientIsGone: () -> Bool
  private let changed: (Connection) -> Void
  private var ended: ((Connection) -> Void)?

  /// Takes an accepted client.
  ///
  /// - Parameters:
  ///   - client: accepted and admitted. Until the service has ended the connection in order, a
  ///     close sends a reset. So the kernel cuts it if the keeper is killed
  ///   - route: the route to the service
  ///   - entrance: the route on which the client arrived
  ///   - pool: lends pipes
  ///   - askIfCut: called at the service's end of file
  ///   - clientIsGone: called at the client's end of file; whether no process has the client's
  ///     socket open
  ///   - changed: called after bytes have moved
  ///   - ended: called once, when everything is closed
  init(
    _ loop: EventLoop, _ client: consuming FileDescriptor, _ route: Route, entrance: Route,
    pool: PipePool, askIfCut: @escaping CutQuestion,
    clientIsGone: @escaping () -> Bool = { false }, changed: @escaping (Connection) -> Void,
    ended: @escaping (Connection) -> Void
  ) {
    self.loop = loop
    self.client = consume client
    self.route = route
    self.entrance = entrance
    self.pool = pool
    self.askIfCut = askIfCut
    self.clientIsGone = clientIsGone
    self.changed = changed
    self.ended = ended
  }

  /// Whether ssh is not up yet, or too busy to take the connection.
  var isWaiting: Bool { phase == .waiting }

  /// Bytes from the client (`sent`) and to the client (`received`).
  var bytes: (sent: Int, received: Int) { (pump?.sent ?? 0, pump?.received ?? 0) }

  /// The first bytes to the client.
  var answer: UInt64 { pump?.answer ?? 0 }

  private var wasAnswered = false

  /// Whether the service has sent its first bytes since the last call; true at most once.
  var hasJustBeenAnswered: Bool {
    if wasAnswered || pump?.received ?? 0 == 0 { return false }
    wasAnswered = true
    return true
  }

  /// How the pump ended; `nil` if the connection never had a service.
  private(set) var end: PumpEnd?

  /// Waits for a service. If none comes in time, the connection is cut.
  ///
  /// - Parameter patience: milliseconds
  func wait(patience: Int) {
    expiry = loop.after(milliseconds: patience) { [weak self] in self?.cut() }
  }

  /// Begins to relay.
  ///
  /// - Parameter service: a connected socket
  func connect(_ service: consuming FileDescriptor) {
    guard phase == .waiting else { return }
    // If the pump cannot start, it has already taken the client: no later attempt can have it.
    do throws(SystemError) { try pump(service) } catch { cut() }
  }

  private func pump(_ service: consuming FileDescriptor) throws(SystemError) {
    guard let client = client.take() else { return }
    phase = .pumping
    // A timer would wake the keeper for a connection that no longer waits.
    loop.cancel(expiry)
    let pump = Pump(
      loop, client: client, service: service, pool: pool, askIfCut: askIfCut,
      clientIsGone: clientIsGone, moved: { [weak self] in if let self { self.changed(self) } }
    ) { [weak self] end in
      self?.end = end
      self?.finish()
    }
    self.pump = pump
    try pump.start()
  }

  /// Cuts the connection at both ends, in any phase.
  func cut() {
    if let raw = client?.raw { Socket.resetOnClose(raw) }
    pump?.cut()
    finish()
  }

  private func finish() {
    guard let ended else { return }
    self.ended = nil
    phase = .ended
    loop.cancel(expiry)
    client = nil
    ended(self)
  }
}
