// Where SOCKS clients of a tunnel may go.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct TunnelSocksTests {
  /// - Returns: a client that has asked for a host and was answered
  private func ask(
    _ rig: TunnelRig, _ entrance: Forward?, _ name: String, _ port: UInt8 = 80
  ) throws -> End {
    let client = try rig.client(entrance)
    client.send([5, 1, 0, 5, 1, 0, 3, UInt8(name.utf8.count)] + Array(name.utf8) + [0, port])
    #expect(try rig.turn([client]) { client.received.count == 12 })
    return client
  }

  private func isGranted(_ client: End) -> Bool { client.received[3] == 0 }

  @Test func aNodeIsReachedOnItsOwnLoopbackAddress() throws {
    let rig = try TunnelRig()
    try rig.run("n1,n2")
    let asked = try rig.open("D:")
    #expect(try rig.turn { asked.ready != nil })
    #expect(rig.ssh.started == ["n1"])
    for (name, link) in [("n1", 0), ("n2", 1), ("localhost", 0)] {
      let client = try ask(rig, asked.ready?.first, name)
      #expect(isGranted(client))
      client.send("hello")
      #expect(try rig.turn([client]) { client.text.hasSuffix("hello") })
      let channel = try #require(rig.ssh.masters[link]?.channels.last)
      #expect(channel.to == "localhost:80" && channel.end.text == "hello")
    }
    // The second visit to n1 went the way of the first.
    #expect(rig.ssh.orders(0).count == 1)
  }

  @Test(arguments: [(1, true), (2, false)] as [(UInt8, Bool)])
  func theNodesOwnAddressIsTheNodeInIPv6AsWell(last: UInt8, isAllowed: Bool) throws {
    let rig = try TunnelRig()
    try rig.run("n1")
    let asked = try rig.open("D:")
    #expect(try rig.turn { asked.ready != nil })
    let client = try rig.client(asked.ready?.first)
    client.send([5, 1, 0, 5, 1, 0, 4] + [UInt8](repeating: 0, count: 15) + [last, 0, 80])
    #expect(try rig.turn([client]) { client.received.count == 12 })
    #expect(isGranted(client) == isAllowed)
    if !isAllowed { return }
    client.send("hello")
    #expect(try rig.turn([client]) { client.text.hasSuffix("hello") })
    #expect(rig.ssh.masters[0]?.channels.map(\.to) == ["localhost:80"])
  }

  @Test(arguments: [false, true])
  func anotherHostOnlyWhereTheSiteAllowsIt(isAllowed: Bool) throws {
    let rig = try TunnelRig(isAllowed ? ["targets=any"] : [])
    try rig.run("n1")
    let asked = try rig.open("D:")
    #expect(try rig.turn { asked.ready != nil })
    let client = try ask(rig, asked.ready?.first, "db.example")
    #expect(isGranted(client) == isAllowed)
    client.send("hello")
    if isAllowed {
      #expect(try rig.turn([client]) { client.text.hasSuffix("hello") })
      #expect(rig.ssh.masters[0]?.channels.map(\.to) == ["db.example:80"])
    } else {
      #expect(try rig.turn([client]) { client.sawEnd || client.failure != nil })
      #expect(rig.ssh.orders(0).isEmpty)
    }
  }

  @Test func theOldestOfManyVisitsIsForgotten() throws {
    let rig = try TunnelRig()
    try rig.run()
    let asked = try rig.open("D:")
    #expect(try rig.turn { asked.ready != nil })
    for port in 1...65 as ClosedRange<UInt8> {
      let client = try ask(rig, asked.ready?.first, "n1", port)
      client.send("x")
      #expect(try rig.turn([client]) { client.text.hasSuffix("x") })
    }
    let master = try #require(rig.ssh.masters[0])
    let first = FakeMaster.Request.local(path: master.socketPath(1), to: "localhost:1")
    #expect(try rig.turn { master.orders.contains(.close(first)) })
    #expect(master.orders.count == 66)
  }

  @Test func theEntranceIsClosedWithWhoCameInThere() throws {
    let rig = try TunnelRig()
    try rig.run("n1,n2")
    let asked = try rig.open("D:")
    #expect(try rig.turn { asked.ready != nil })
    let client = try ask(rig, asked.ready?.first, "n2")
    client.send("x")
    #expect(try rig.turn([client]) { client.text.hasSuffix("x") })
    try rig.tunnel.close(try #require(asked.grant))
    #expect(try rig.turn([client]) { client.failure == ECONNRESET })
    #expect(try rig.tunnel.relay.open == 0)
  }
}
