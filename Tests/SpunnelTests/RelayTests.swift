// The submit side of a tunnel: real ports, real clients, a fake master.

import Glibc
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSystem

@Suite struct RelayTests: RelaySuite {
  let rig: RelayRig

  init() throws { rig = try RelayRig() }

  /// Opens a port with a way to its service.
  private func serve(_ relay: Relay, to exec: UInt16 = 8000) throws -> Route {
    let route = try open(relay, to: exec)
    tunnel.sockets = try master.sockets(for: [route.service])
    return route
  }

  private func client(_ route: Route) throws -> End {
    try End(try connectLoopback(try #require(route.forward.listen.port).number))
  }

  @Test func aConnectionIsServedAndCounted() throws {
    let relay = try relay()
    let route = try serve(relay)
    let client = try client(route)
    client.send("hello")
    #expect(try turn([client]) { client.text == "hello" })
    #expect((relay.open, relay.accepted, relay.refused) == (1, 1, 0))
    client.finish()
    #expect(try turn([client]) { client.sawEnd && relay.open == 0 })
    #expect(relay.bytes == (5, 5))
    #expect(tunnel.changes > 0)
    #expect(tunnel.lines == [])
    #expect(tunnel.answered.count == 1 && tunnel.unanswered.isEmpty)
    #expect(tunnel.answered.first === route)
  }

  @Test func aConnectionHasFromItsListenerThatItsCutIsAResetAndNothingIsDelayed() throws {
    // So the kernel cuts those of a keeper that is killed, from the first moment on.
    let relay = try relay()
    let listener = try Socket.listen(.v4, port: 0)
    try relay.add(listener.raw, Route(try forward("8001:8000")))
    let client = try connectLoopback(try Socket.localAddress(of: listener.raw).port)
    var accepted: [FileDescriptorBox] = []
    let isAccepted = try eventually {
      guard let socket = try Socket.accept(from: listener.raw) else { return false }
      accepted.append(FileDescriptorBox(socket.descriptor))
      return true
    }
    #expect(isAccepted && client.raw >= 0)
    let raw = try #require(accepted.first).raw
    var linger = linger()
    var size = socklen_t(MemoryLayout.size(ofValue: linger))
    #expect(unsafe getsockopt(raw, SOL_SOCKET, SO_LINGER, &linger, &size) == 0)
    #expect((linger.l_onoff, linger.l_linger) == (1, 0))
    var delay: CInt = 0
    size = socklen_t(MemoryLayout.size(ofValue: delay))
    #expect(unsafe getsockopt(raw, CInt(IPPROTO_TCP), TCP_NODELAY, &delay, &size) == 0)
    #expect(delay != 0)
    relay.close()
  }

  @Test func everyPortLeadsToItsOwnPlace() throws {
    let relay = try relay()
    let routes = [try open(relay, to: 8000), try open(relay, to: 8888)]
    tunnel.sockets = try master.sockets(for: routes.map(\.service))
    let clients = [try client(routes[1]), try client(routes[0])]
    for (index, client) in clients.enumerated() {
      client.send("\(index)")
      #expect(try turn([client]) { client.text == "\(index)" })
    }
    #expect(Set(master.channels.map(\.to)) == ["localhost:8000", "localhost:8888"])
    for channel in master.channels {
      #expect(channel.end.text == (channel.to == "localhost:8888" ? "0" : "1"))
    }
  }

  @Test func manyAtOnceAreServed() throws {
    let relay = try relay()
    let route = try serve(relay)
    let clients = try (0..<50).map { _ in try client(route) }
    for (index, client) in clients.enumerated() {
      client.send("client \(index)")
      client.finish()
    }
    #expect(try turn(clients) { clients.allSatisfy(\.sawEnd) })
    #expect(clients.map(\.text) == (0..<50).map { "client \($0)" })
    #expect(relay.accepted == 50)
    #expect(try turn { relay.open == 0 })
  }

  @Test func connectionsWaitForTheTunnelAndAreServedWhenItComes() throws {
    let relay = try relay()
    let route = try open(relay)
    let clients = try (0..<3).map { _ in try client(route) }
    for client in clients { client.send("early") }
    #expect(try turn(clients) { relay.accepted == 3 })
    #expect(relay.open == 3)
    #expect(master.channels.isEmpty)
    tunnel.sockets = try master.sockets(for: [route.service])
    relay.serveWaiting()
    #expect(try turn(clients) { clients.allSatisfy { $0.text == "early" } })
  }

  @Test func anSshThatIsTooBusyIsAskedAgain() throws {
    let relay = try relay()
    let route = try open(relay)
    tunnel.sockets = try master.sockets(for: [route.service], backlog: 0)
    let clients = try (0..<4).map { _ in try client(route) }
    for client in clients { client.send("early") }
    // Nobody accepts: one is in ssh's queue, the others wait here.
    #expect(
      try loop.turn {
        for client in clients { client.work() }
        return relay.accepted == 4
      })
    #expect(relay.open == 4)
    #expect(try turn(clients) { clients.allSatisfy { $0.text == "early" } })
    #expect(master.channels.count == 4)
  }

  @Test func aForwardThatComesLaterIsFoundByTryingAgain() throws {
    let relay = try relay()
    let route = try serve(relay)
    master.die()
    let client = try client(route)
    client.send("early")
    #expect(try turn([client]) { relay.accepted == 1 })
    #expect(relay.open == 1)
    let other = try Scratch()
    let next = try FakeMaster(other)
    tunnel.sockets = try next.sockets(for: [route.service])
    #expect(
      try loop.turn {
        try next.work()
        client.work()
        return client.text == "early"
      })
  }

  @Test func waitingIsBounded() throws {
    let relay = try relay(patience: 20)
    let client = try client(try open(relay))
    #expect(try turn([client]) { client.failure == ECONNRESET })
    #expect(relay.open == 0)
    #expect(relay.accepted == 1)
    #expect(tunnel.answered.isEmpty && tunnel.unanswered.isEmpty)
  }

  @Test(arguments: [true, false])
  func nothingWakesTheKeeperForAConnectionThatWaitsNoMore(isServed: Bool) throws {
    let relay = try relay()
    let route = try open(relay)
    let client = try client(route)
    client.send("early")
    #expect(try turn([client]) { relay.accepted == 1 })
    #expect(loop.timeToNext(atMost: -1) > 0)
    if isServed {
      tunnel.sockets = try master.sockets(for: [route.service])
      relay.serveWaiting()
      #expect(try turn([client]) { client.text == "early" })
    } else {
      relay.remove(route)
      #expect(try turn([client]) { relay.open == 0 })
    }
    #expect(loop.timeToNext(atMost: -1) == -1)
  }

  @Test func aLostTunnelCutsWhatWasOpenAndNewConnectionsWait() throws {
    let relay = try relay()
    let route = try serve(relay)
    let old = try client(route)
    old.send("old")
    #expect(try turn([old]) { old.text == "old" })
    tunnel.sockets = nil
    relay.cut(try node("n2"))
    #expect(relay.open == 1)
    relay.cut(try node("n1"))
    #expect(try turn([old]) { old.failure == ECONNRESET })
    #expect(relay.open == 0)
    let new = try client(route)
    new.send("new")
    #expect(try turn([new]) { relay.accepted == 2 })
    #expect(master.channels.count == 1)
    relay.cut(try node("n1"))
    #expect(relay.open == 1)
    tunnel.sockets = try master.sockets(for: [route.service])
    relay.serveWaiting()
    #expect(try turn([new]) { new.text == "new" })
    #expect(relay.bytes.sent == 6)
  }

  @Test(arguments: [true, false])
  func theEndOfAServiceIsOneOnlyIfSshGoesOn(isCut: Bool) throws {
    let relay = try relay()
    let route = try serve(relay)
    let client = try client(route)
    client.send("x")
    #expect(try turn([client]) { client.text == "x" })
    tunnel.isCut = isCut
    master.channels[0].end.close()
    #expect(try turn([client]) { client.sawEnd || client.failure != nil })
    #expect(client.failure == (isCut ? ECONNRESET : nil))
    #expect(try turn { relay.open == 0 })
    tunnel.isCut = false
    let second = try self.client(route)
    second.send("again")
    #expect(try turn([second]) { second.text == "again" })
  }

  @Test func closingAcceptsNoMoreAndCutsEverything() throws {
    let relay = try relay()
    let route = try serve(relay)
    let client = try client(route)
    client.send("x")
    #expect(try turn([client]) { client.text == "x" })
    relay.close()
    #expect(try turn([client]) { client.failure == ECONNRESET })
    let late = try self.client(route)
    try loop.settle { late.work() }
    #expect((relay.accepted, relay.open) == (1, 0))
  }

  @Test func aRouteIsRemovedWithItsConnectionsAndNoOthers() throws {
    let relay = try relay()
    let routes = [try open(relay, to: 8000), try open(relay, to: 8888)]
    tunnel.sockets = try master.sockets(for: routes.map(\.service))
    let clients = [try client(routes[0]), try client(routes[1])]
    for client in clients { client.send("x") }
    #expect(try turn(clients) { clients.allSatisfy { $0.text == "x" } })
    relay.remove(routes[0])
    #expect(try turn(clients) { clients[0].failure == ECONNRESET })
    clients[1].send("y")
    #expect(try turn(clients) { clients[1].text == "xy" })
    let (late, other) = (try client(routes[0]), try client(routes[1]))
    other.send("z")
    #expect(try turn([late, other]) { other.text == "z" })
    #expect((relay.accepted, relay.open) == (3, 2))
  }

  @Test func aSocksClientGoesWhereItSays() throws {
    let relay = try relay()
    let entrance = Route(try forward("D:\(try rig.ports.listen())"))
    try relay.add(try #require(rig.ports.sockets.last).raw, entrance)
    let target = Route(try forward("8001:8000"))
    tunnel.sockets = try master.sockets(for: [target.service])
    tunnel.resolve = { host, port in "\(host):\(port)" == "web:80" ? target : nil }
    let (good, bad) = (try client(entrance), try client(entrance))
    let end: [UInt8] = [3, 0x77, 0x65, 0x62, 0]
    good.send([5, 1, 0, 5, 1, 0, 3] + end + [80] + Array("hello".utf8))
    bad.send([5, 1, 0, 5, 1, 0, 3] + end + [81])
    #expect(try turn([good, bad]) { good.text.hasSuffix("hello") && bad.sawEnd })
    #expect(good.received.prefix(4) == [5, 0, 5, 0])
    #expect(bad.received.prefix(4) == [5, 0, 5, 2])
    #expect((relay.accepted, relay.open) == (2, 1))
    // It belongs to where it came in.
    relay.remove(target)
    #expect(relay.open == 1)
    relay.remove(entrance)
    #expect(try turn([good]) { good.failure == ECONNRESET })
    #expect(tunnel.answered.count == 1 && tunnel.unanswered.isEmpty)
    #expect(tunnel.answered.first === target)
  }
}
