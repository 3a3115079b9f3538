// The submit side of a tunnel: accepts on the claimed ports, lets the right user in, and keeps
// the connections.

import Glibc
import SpunnelSystem

/// What the relay tells its keeper.
protocol RelayObserver: AnyObject {
  /// A line for the log.
  func relayNotes(_ line: String)
  /// Counters changed.
  func relayChanged()
}

/// One bound port of a forward.
final class Listener {
  let socket: FileDescriptor
  let forward: Forward

  init(_ socket: consuming FileDescriptor, _ forward: Forward) {
    self.socket = socket
    self.forward = forward
  }
}

final class Relay: EventHandler {
  /// Milliseconds before another attempt when descriptors or ssh's queue are used up.
  private static let pause = 50

  private let loop: EventLoop
  private let access: Settings.Access
  private let owner: uid_t
  /// Milliseconds that a connection waits for a tunnel that is not up.
  private let patience: Int
  private var listeners: [CInt: Listener] = [:]
  private var connections: [ObjectIdentifier: Connection] = [:]
  private let lookup: PeerLookup
  private weak var observer: (any RelayObserver)?
  private var controlPath: String?
  private var retry: EventLoop.Timer?
  private var closed = (sent: 0, received: 0)

  private(set) var accepted = 0
  private(set) var refused = 0

  /// - Parameters:
  ///   - access: who may connect
  ///   - owner: the tunnel's owner
  ///   - patience: milliseconds that a connection waits for a tunnel that is not up
  init(
    _ loop: EventLoop, access: Settings.Access, owner: uid_t, patience: Int,
    observer: any RelayObserver
  ) throws(SystemError) {
    self.loop = loop
    self.access = access
    self.owner = owner
    self.patience = patience
    self.observer = observer
    lookup = try PeerLookup()
  }

  /// Connections that clients have open now.
  var open: Int { connections.values.count { $0.isOpen } }

  /// Bytes that went each way, of all connections.
  var bytes: (sent: Int, received: Int) {
    connections.values.reduce(closed) { sum, connection in
      let bytes = connection.bytes
      return (sum.sent + bytes.sent, sum.received + bytes.received)
    }
  }

  /// Accepts on a socket from now on.
  func add(_ listener: Listener) throws(SystemError) {
    listeners[listener.socket.raw] = listener
    try loop.add(listener.socket.raw, [.input], self)
  }

  /// ssh is there: connections that wait are served, and new ones at once.
  ///
  /// - Parameter controlPath: its control socket
  func connect(through controlPath: String) {
    self.controlPath = controlPath
    serveWaiting()
  }

  /// ssh is gone: what was open is cut, new connections wait.
  func disconnect() {
    controlPath = nil
    for connection in connections.values where !connection.isWaiting { connection.cut() }
  }

  /// Gives the ports up and cuts everything.
  func close() {
    for raw in listeners.keys {
      loop.remove(raw)
      Socket.stopListening(raw)
    }
    listeners = [:]
    for connection in connections.values { connection.cut() }
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    guard let forward = listeners[descriptor]?.forward else { return }
    do throws(SystemError) {
      while let socket = try Socket.accept(from: descriptor) { admit(socket, forward) }
    } catch {
      // Out of descriptors: the listener would be reported again at once, for nothing.
      observer?.relayNotes("accept on port \(forward.submit): \(error.reason)")
      loop.remove(descriptor)
      loop.after(milliseconds: Relay.pause) { [weak self] in self?.resume(descriptor) }
    }
  }

  private func resume(_ descriptor: CInt) {
    guard listeners[descriptor] != nil else { return }
    do throws(SystemError) { try loop.add(descriptor, [.input], self) } catch {
      observer?.relayNotes("watch port: \(error.reason)")
    }
  }

  private func admit(_ socket: consuming AcceptedSocket, _ forward: Forward) {
    if let stranger = stranger(socket.peer, socket.local) {
      refused += 1
      observer?.relayNotes("refused \(stranger) on port \(forward.submit)")
      observer?.relayChanged()
      return Socket.resetOnClose(socket.descriptor.raw)
    }
    accepted += 1
    let connection = Connection(
      loop, socket.descriptor, forward,
      changed: { [weak self] in self?.observer?.relayChanged() },
      ended: { [weak self] in self?.forget($0) })
    connections[ObjectIdentifier(connection)] = connection
    if !connect(connection) { expire(connection) }
    observer?.relayChanged()
  }

  /// Who it is, in words, when it is nobody who may connect.
  private func stranger(_ peer: SocketAddress, _ local: SocketAddress) -> String? {
    if access == .host { return nil }
    do throws(SystemError) {
      switch try lookup.owner(peer: peer, local: local) {
      case .user(let user): return user == owner || user == 0 ? nil : "uid \(user)"
      case .unknown: return "a process that is gone already"
      }
    } catch { return "a process of an unknown user (\(error))" }
  }

  private func connect(_ connection: Connection) -> Bool {
    guard let controlPath else { return false }
    if connection.connect(controlPath: controlPath) { return true }
    if retry == nil {
      retry = loop.after(milliseconds: Relay.pause) { [weak self] in
        self?.retry = nil
        self?.serveWaiting()
      }
    }
    return false
  }

  private func serveWaiting() {
    for connection in connections.values where connection.isWaiting { _ = connect(connection) }
  }

  private func expire(_ connection: Connection) {
    loop.after(milliseconds: patience) { [weak connection] in
      if let connection, connection.isWaiting { connection.cut() }
    }
  }

  private func forget(_ connection: Connection) {
    guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
    let bytes = connection.bytes
    closed = (closed.sent + bytes.sent, closed.received + bytes.received)
    observer?.relayChanged()
  }
}
