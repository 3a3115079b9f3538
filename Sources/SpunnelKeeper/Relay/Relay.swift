// The submit side of a tunnel: it accepts on the claimed ports, admits the permitted users, and
// keeps the connections.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// What the relay reports to its tunnel and asks it.
protocol RelayObserver: AnyObject {
  /// Counters have changed.
  func relayChanged()
  /// A service has answered; called once for each connection.
  ///
  /// - Parameter answer: the first eight bytes, see `SpokenProtocol`
  func relayIsAnswered(_ route: Route, with answer: UInt64)
  /// Connects to the service of a forward without waiting; `nil` while it cannot be reached.
  func relayConnects(_ route: Route) throws(SystemError) -> FileDescriptor?
  /// The route to a host that a SOCKS client named; `nil` if the client may not go there.
  func relayResolves(_ host: HostName, _ port: Port, for route: Route) -> Route?
  /// Finds out whether an end of file from ssh is a cut; see `CutQuestion`.
  func relayAsksIfCut(_ route: Route, _ end: ServiceEnd, _ answer: @escaping (Bool) -> Void)
  /// A connection ended that had a service but no byte from it.
  func relayEndedUnanswered(_ route: Route, _ end: PumpEnd)
}

final class Relay: EventHandler {
  /// A socket to which clients connect.
  private struct Entrance {
    let route: Route
    let address: SocketAddress
    /// The last turn in which connections were accepted from it.
    var turn: UInt64 = 0
    /// The connections to accept in one turn.
    var share = 1
  }

  private let loop: EventLoop
  private let access: Settings.Access
  private let owner: uid_t
  /// Milliseconds that a connection waits while the tunnel is not up.
  private let patience: Int
  private let log: (String) -> Void
  private var listeners: [CInt: Entrance] = [:]
  private var greetings: [ObjectIdentifier: SocksGreeting] = [:]
  private var connections: [ObjectIdentifier: Connection] = [:]
  private var lookup: PeerLookup
  private let pool = PipePool()
  weak var observer: (any RelayObserver)?
  private var strangers = Strangers()
  private var retry: EventLoop.Timer?
  private var closed = (sent: 0, received: 0)

  private(set) var accepted = 0
  private(set) var refused = 0

  /// Makes a relay without listeners.
  ///
  /// - Parameters:
  ///   - access: which users may connect
  ///   - owner: the user id of the tunnel's owner
  ///   - patience: milliseconds that a connection waits while the tunnel is not up
  ///   - log: called with a line for the log
  init(
    _ loop: EventLoop, access: Settings.Access, owner: uid_t, patience: Int,
    log: @escaping (String) -> Void
  ) throws(SystemError) {
    self.loop = loop
    self.access = access
    self.owner = owner
    self.patience = patience
    self.log = log
    lookup = try PeerLookup()
  }

  /// The connections that clients have open now.
  var open: Int { connections.count + greetings.count }

  /// The bytes of all connections, from clients and to clients.
  var bytes: (sent: Int, received: Int) {
    connections.values.reduce(closed) { sum, connection in
      let bytes = connection.bytes
      return (sum.sent + bytes.sent, sum.received + bytes.received)
    }
  }

  /// Begins to accept on a listening socket.
  ///
  /// - Parameter listener: borrowed until the route is removed
  func add(_ listener: CInt, _ route: Route) throws(SystemError) {
    let address = try Socket.localAddress(of: listener)
    // Accepted connections inherit this from the listener: if the keeper is killed, the kernel
    // resets them.
    Socket.resetOnClose(listener)
    listeners[listener] = Entrance(route: route, address: address)
    try loop.add(listener, [.input], self)
  }

  /// Stops accepting for a forward and cuts its connections.
  func remove(_ route: Route) {
    for (raw, entrance) in listeners where entrance.route === route {
      loop.remove(raw)
      listeners[raw] = nil
    }
    for connection in connections.values where connection.entrance === route { connection.cut() }
    for greeting in greetings.values where greeting.route === route { greeting.cut() }
  }

  /// Serves the connections that wait, because a link has come up.
  func serveWaiting() {
    for connection in connections.values where connection.isWaiting { _ = connect(connection) }
  }

  /// Whether a connection waits for the link to this node.
  func isAwaited(_ node: NodeName) -> Bool {
    connections.values.contains { $0.isWaiting && $0.route.forward.node == node }
  }

  /// Cuts the open connections to a node, because its ssh is gone. New connections wait.
  func cut(_ node: NodeName) {
    for connection in connections.values
    where connection.route.forward.node == node && !connection.isWaiting { connection.cut() }
  }

  /// Stops accepting and cuts all connections.
  func close() {
    for raw in listeners.keys { loop.remove(raw) }
    listeners = [:]
    for connection in connections.values { connection.cut() }
    for greeting in greetings.values { greeting.cut() }
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    guard let entrance = listeners[descriptor] else { return }
    let route = entrance.route
    do throws(SystemError) {
      for _ in 0..<share(of: descriptor) {
        guard let socket = try Socket.accept(from: descriptor, local: entrance.address) else {
          return
        }
        admit(socket, route)
      }
    } catch {
      // No descriptor is free.
      log("accept on \(route.forward.listen.named): \(error.reason)")
      loop.rest(descriptor, milliseconds: Limits.pause, [.input], self) { [weak self, weak route] in
        route != nil && self?.listeners[descriptor]?.route === route
      }
    }
  }

  /// How many connections to accept in this turn. It starts with one, because a second accept(2)
  /// would mostly find nothing. If a socket has connections turn after turn, the number doubles.
  private func share(of descriptor: CInt) -> Int {
    guard var entrance = listeners[descriptor] else { return 0 }
    let hasMore = entrance.turn + 1 == loop.turns
    entrance.share = hasMore ? min(entrance.share * 2, Limits.acceptsInATurn) : 1
    entrance.turn = loop.turns
    listeners[descriptor] = entrance
    return entrance.share
  }

  private func admit(_ socket: consuming AcceptedSocket, _ route: Route) {
    if let stranger = stranger(socket) {
      refused += 1
      for line in strangers.note("refused \(stranger) on \(route.forward.listen.named)") {
        log(line)
      }
      observer?.relayChanged()
      return Socket.resetOnClose(socket.descriptor.raw)
    }
    accepted += 1
    let (peer, local) = (socket.peer, socket.local)
    let isGone = { [weak self] in self?.isGone(peer, local) ?? false }
    if route.forward.kind == .dynamic {
      greet(socket.descriptor, route, isGone)
    } else {
      serve(socket.descriptor, route, entrance: route, isGone)
    }
    observer?.relayChanged()
  }

  /// Whether no process has the client's socket open any more.
  private func isGone(_ peer: SocketAddress, _ local: SocketAddress) -> Bool {
    local.family != AF_UNIX && lookup.isClosed(peer: peer, local: local)
  }

  private func greet(
    _ client: consuming FileDescriptor, _ route: Route, _ isGone: @escaping () -> Bool
  ) {
    let greeting = SocksGreeting(
      loop, client, route, patience: patience,
      resolve: { [weak self] in self?.observer?.relayResolves($0, $1, for: route) },
      done: { [weak self] greeting, client, target in
        self?.greetings[ObjectIdentifier(greeting)] = nil
        if let target { self?.serve(client, target, entrance: route, isGone) }
      })
    greetings[ObjectIdentifier(greeting)] = greeting
    greeting.start()
  }

  private func serve(
    _ client: consuming FileDescriptor?, _ route: Route, entrance: Route,
    _ isGone: @escaping () -> Bool
  ) {
    guard let client else { return }
    let connection = Connection(
      loop, client, route, entrance: entrance, pool: pool,
      askIfCut: { [weak self] end, answer in
        guard let observer = self?.observer else { return answer(true) }
        observer.relayAsksIfCut(route, end, answer)
      },
      clientIsGone: isGone, changed: { [weak self] in self?.moved($0) },
      ended: { [weak self] in self?.forget($0) })
    connections[ObjectIdentifier(connection)] = connection
    if !connect(connection) { connection.wait(patience: patience) }
  }

  private func moved(_ connection: Connection) {
    if connection.hasJustBeenAnswered {
      observer?.relayIsAnswered(connection.route, with: connection.answer)
    }
    observer?.relayChanged()
  }

  /// Describes the peer if it may not connect; `nil` if it may.
  private func stranger(_ socket: borrowing AcceptedSocket) -> String? {
    if access == .host { return nil }
    do throws(SystemError) {
      switch try peer(socket) {
      case .user(let user): return access.admits(user, to: owner) ? nil : "uid \(user)"
      case .unknown: return "a process that is gone already"
      }
    } catch { return "a process of an unknown user (\(error))" }
  }

  private func peer(_ socket: borrowing AcceptedSocket) throws(SystemError) -> PeerOwner {
    if socket.local.family == AF_UNIX {
      return .user(try Socket.peerUser(of: socket.descriptor.raw))
    }
    return try lookup.owner(of: socket)
  }

  private func connect(_ connection: Connection) -> Bool {
    do throws(SystemError) {
      guard let service = try observer?.relayConnects(connection.route) else { return false }
      connection.connect(service)
      return true
    } catch {
      // No descriptor is free, or ssh is busy or gone. This connection waits; the others go on.
      if retry == nil {
        retry = loop.after(milliseconds: Limits.pause) { [weak self] in
          self?.retry = nil
          self?.serveWaiting()
        }
      }
      return false
    }
  }

  private func forget(_ connection: Connection) {
    guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
    let bytes = connection.bytes
    closed = (closed.sent + bytes.sent, closed.received + bytes.received)
    if let end = connection.end, bytes.received == 0 {
      observer?.relayEndedUnanswered(connection.route, end)
    }
    observer?.relayChanged()
  }
}
