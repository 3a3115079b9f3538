// One accepted connection, from the owner's process to the service: it waits until ssh is there,
// and pumps.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class Connection {
  private enum Phase { case waiting, pumping, ended }

  /// Where it goes.
  let route: Route
  /// Where it came in: another route only with SOCKS.
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

  /// - Parameters:
  ///   - client: accepted and allowed; closed by the kernel with a reset, until the service has ended the
  ///     connection in order, so that a keeper that is killed cuts it as well
  ///   - route: where it goes
  ///   - entrance: where it came in
  ///   - pool: where pipes are borrowed
  ///   - askIfCut: asked at the service's end of file
  ///   - clientIsGone: asked at the client's end of file, whether no process has its socket open
  ///   - changed: told after bytes have moved
  ///   - ended: told once, when nothing of it is left
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

  /// Whether ssh is not there for it yet, or too busy to take it.
  var isWaiting: Bool { phase == .waiting }

  /// Bytes from the client and to the client.
  var bytes: (sent: Int, received: Int) { (pump?.sent ?? 0, pump?.received ?? 0) }

  /// The first bytes to the client.
  var answer: UInt64 { pump?.answer ?? 0 }

  private var wasAnswered = false

  /// Whether the service has answered since this was asked last, for the first time.
  var hasJustBeenAnswered: Bool {
    if wasAnswered || pump?.received ?? 0 == 0 { return false }
    wasAnswered = true
    return true
  }

  /// How it ended, when it ever had a service.
  private(set) var end: PumpEnd?

  /// Lets it wait for a service, and cuts it off when it has none by then.
  ///
  /// - Parameter patience: milliseconds
  func wait(patience: Int) {
    expiry = loop.after(milliseconds: patience) { [weak self] in self?.cut() }
  }

  /// Begins to relay.
  ///
  /// - Parameter service: connected
  func connect(_ service: consuming FileDescriptor) {
    guard phase == .waiting else { return }
    // When the pump cannot start it has the client already: no later attempt can have it.
    do throws(SystemError) { try pump(service) } catch { cut() }
  }

  private func pump(_ service: consuming FileDescriptor) throws(SystemError) {
    guard let client = client.take() else { return }
    phase = .pumping
    // Nobody is woken for a connection that waits no more.
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

  /// Cuts it off at both ends, wherever it is.
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
