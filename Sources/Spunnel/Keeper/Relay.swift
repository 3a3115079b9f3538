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
  /// Whether ssh is ending, so that an end of file from it is none.
  func relayAsksIfCut() -> Bool
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
  /// Connections accepted in a row before the open ones get their turn.
  private static let budget = 64

  private let loop: EventLoop
  private let access: Settings.Access
  private let owner: uid_t
  /// Milliseconds that a connection waits for a tunnel that is not up.
  private let patience: Int
  private var listeners: [CInt: Listener] = [:]
  private var connections: [ObjectIdentifier: Connection] = [:]
  private let lookup: PeerLookup
  private let pool = PipePool()
  private weak var observer: (any RelayObserver)?
  private var sockets: ForwardSockets?
  private var strangers = Strangers()
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
  var open: Int { connections.count }

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
  /// - Parameter sockets: where it takes connections
  func connect(through sockets: ForwardSockets) {
    self.sockets = sockets
    serveWaiting()
  }

  /// ssh is gone: what was open is cut, new connections wait.
  func disconnect() {
    sockets = nil
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
      for _ in 0..<Relay.budget {
        guard let socket = try Socket.accept(from: descriptor) else { return }
        admit(socket, forward)
      }
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
      if let line = strangers.note("refused \(stranger) on port \(forward.submit)") {
        observer?.relayNotes(line)
      }
      observer?.relayChanged()
      return Socket.resetOnClose(socket.descriptor.raw)
    }
    accepted += 1
    let connection = Connection(
      loop, socket.descriptor, forward, pool: pool,
      isCut: { [weak self] in self?.observer?.relayAsksIfCut() ?? true },
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
    guard let sockets else { return false }
    if connection.connect(sockets) { return true }
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

/// Keeps a stranger who tries again and again from filling the log: the same line is written once
/// a minute, with how often it was true since.
private struct Strangers {
  private static let pause = 60_000
  private static let most = 64
  private var seen: [String: (time: Int, count: Int)] = [:]

  /// - Returns: the line to write, if any
  mutating func note(_ line: String) -> String? {
    let now = Clock.milliseconds()
    if let last = seen[line], now - last.time < Strangers.pause {
      seen[line] = (last.time, last.count + 1)
      return nil
    }
    let missed = seen[line]?.count ?? 0
    // A crowd of strangers is forgotten; one line each is written again.
    if seen.count >= Strangers.most { seen = [:] }
    seen[line] = (now, 0)
    return missed == 0 ? line : "\(line), and \(missed) times before"
  }
}
