// One accepted connection, from the owner's process to the service: it waits until ssh is there,
// opens a channel, and pumps.

import Glibc
import SpunnelSystem

final class Connection {
  private enum Phase {
    /// ssh is not there, or too busy to take a request.
    case waiting
    case pumping
    case ended
  }

  /// The service listens here, as the exec host sees it: on 127.0.0.1, ::1 or both.
  static let serviceHost = "localhost"

  let forward: Forward
  private let loop: EventLoop
  private var client: FileDescriptor?
  private var phase = Phase.waiting
  private var pump: Pump?
  private var channel: Channel?
  private let changed: () -> Void
  private var ended: ((Connection) -> Void)?

  /// - Parameters:
  ///   - client: accepted and allowed
  ///   - forward: where it leads
  ///   - changed: told after bytes have moved
  ///   - ended: told once, when nothing of it is left
  init(
    _ loop: EventLoop, _ client: consuming FileDescriptor, _ forward: Forward,
    changed: @escaping () -> Void, ended: @escaping (Connection) -> Void
  ) {
    self.loop = loop
    self.client = consume client
    self.forward = forward
    self.changed = changed
    self.ended = ended
  }

  var isWaiting: Bool { phase == .waiting }

  /// Whether it is open in one direction at least.
  var isOpen: Bool { phase != .ended }

  /// Bytes from the client and to the client.
  var bytes: (sent: Int, received: Int) { (pump?.sent ?? 0, pump?.received ?? 0) }

  /// Opens the channel.
  ///
  /// - Returns: false when it has to wait for longer
  func connect(controlPath: String) -> Bool {
    guard phase == .waiting, let input = client?.raw else { return true }
    do throws(SystemError) {
      let channel = try Channel(loop, controlPath: controlPath)
      let inward = try channel.open(
        host: Connection.serviceHost, port: forward.exec, input: input
      ) { [weak self] event in self?.channel(event) }
      self.channel = channel
      try pump(consume inward)
      return true
    } catch {
      // Out of descriptors, or ssh is busy or gone: this connection waits, the others go on.
      if phase == .waiting { return false }
      // The pump has the client already and could not start: no later attempt can have it.
      cut()
      return true
    }
  }

  private func pump(_ inward: consuming FileDescriptor) throws(SystemError) {
    guard let client = client.take() else { return }
    let pump = Pump(loop, client: client, inward: inward, moved: changed) { [weak self] _ in
      self?.finish()
    }
    self.pump = pump
    phase = .pumping
    try pump.start()
  }

  private func channel(_ event: Channel.Event) {
    switch event {
    case .opened: break
    // As with plain `ssh -L`, the client sees its connection closed: nothing listens there.
    case .refused: finish()
    case .closed:
      channel = nil
      pump?.endOutward()
    }
  }

  /// Cuts it off at both ends, wherever it is.
  func cut() {
    if let raw = client?.raw { Socket.reset(raw) }
    pump?.cut()
    finish()
  }

  private func finish() {
    guard let ended else { return }
    self.ended = nil
    phase = .ended
    client = nil
    pump?.cut()
    channel?.abandon()
    channel = nil
    ended(self)
  }
}
