// One accepted connection, from the owner's process to the service: it waits until ssh is there,
// and pumps.

import Glibc
import SpunnelSystem

final class Connection {
  private enum Phase { case waiting, pumping, ended }

  let forward: Forward
  private let loop: EventLoop
  private let pool: PipePool
  private var client: FileDescriptor?
  private var phase = Phase.waiting
  private var pump: Pump?
  private let isCut: () -> Bool
  private let changed: () -> Void
  private var ended: ((Connection) -> Void)?

  /// - Parameters:
  ///   - client: accepted and allowed
  ///   - forward: where it leads
  ///   - pool: where pipes are borrowed
  ///   - isCut: asked at the service's end of file: whether it is none, because ssh is dying
  ///   - changed: told after bytes have moved
  ///   - ended: told once, when nothing of it is left
  init(
    _ loop: EventLoop, _ client: consuming FileDescriptor, _ forward: Forward, pool: PipePool,
    isCut: @escaping () -> Bool, changed: @escaping () -> Void,
    ended: @escaping (Connection) -> Void
  ) {
    self.loop = loop
    self.client = consume client
    self.forward = forward
    self.pool = pool
    self.isCut = isCut
    self.changed = changed
    self.ended = ended
  }

  /// Whether ssh is not there for it yet, or too busy to take it.
  var isWaiting: Bool { phase == .waiting }

  /// Bytes from the client and to the client.
  var bytes: (sent: Int, received: Int) { (pump?.sent ?? 0, pump?.received ?? 0) }

  /// Connects to the service.
  ///
  /// - Returns: false when it has to wait for longer
  func connect(_ sockets: ForwardSockets) -> Bool {
    guard phase == .waiting else { return true }
    do throws(SystemError) {
      let service = try sockets.connect(forward)
      try pump(service)
      return true
    } catch {
      // Out of descriptors, or ssh is busy or gone: this connection waits, the others go on.
      if phase == .waiting { return false }
      // The pump has the client already and could not start: no later attempt can have it.
      cut()
      return true
    }
  }

  private func pump(_ service: consuming FileDescriptor) throws(SystemError) {
    guard let client = client.take() else { return }
    phase = .pumping
    let pump = Pump(
      loop, client: client, service: service, pool: pool, isCut: isCut, moved: changed
    ) { [weak self] _ in self?.finish() }
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
    client = nil
    ended(self)
  }
}
