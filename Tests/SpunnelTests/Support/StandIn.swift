// What a relay has instead of a tunnel, and ports for it.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

/// Stands for the tunnel that a relay belongs to.
final class StandIn: RelayObserver {
  var lines: [String] = []
  var changes = 0
  /// The way to services; `nil` while there is none.
  var sockets: ServiceSockets?
  var isCut = false
  /// The way to what SOCKS clients name.
  var resolve: (HostName, Port) -> Route? = { _, _ in nil }
  var answered: [Route] = []
  var unanswered: [(route: Route, end: PumpEnd)] = []

  func relayChanged() { changes += 1 }

  func relayConnects(_ route: Route) throws(SystemError) -> FileDescriptor? {
    try sockets?.connect(route.service)
  }

  func relayResolves(_ host: HostName, _ port: Port, for route: Route) -> Route? {
    resolve(host, port)
  }

  func relayAsksIfCut(_ route: Route, _ end: ServiceEnd, _ answer: @escaping (Bool) -> Void) {
    answer(isCut)
  }

  func relayIsAnswered(_ route: Route, with answer: UInt64) { answered.append(route) }

  func relayEndedUnanswered(_ route: Route, _ end: PumpEnd) { unanswered.append((route, end)) }
}

/// Listening sockets, held as long as the test.
final class HeldPorts {
  private(set) var sockets: [FileDescriptorBox] = []

  /// Listens on a port of the kernel's choice.
  func listen() throws -> UInt16 {
    let socket = try Socket.listen(.v4, port: 0)
    let port = try Socket.localAddress(of: socket.raw).port
    sockets.append(FileDescriptorBox(socket))
    return port
  }
}
