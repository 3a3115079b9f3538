// Forwards that are asked for twice, and forwards that are given up by their submit ends.

import Glibc
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct TunnelCloseTests {
  private let rig: TunnelRig

  init() throws { rig = try TunnelRig() }

  private func close(_ spec: String) throws -> Bool {
    try rig.tunnel.close(matching: try TunnelSpec(spec)).missing.isEmpty
  }

  @Test func whatIsThereAlreadyIsRefusedAndStays() throws {
    try rig.run()
    let first = try rig.open(":8000,R:9000:53")
    #expect(try rig.turn { first.ready != nil })
    let port = try #require(first.ready?.first?.listen.port)
    for spec in ["\(port):8888", "D:\(port)", "R:9000:54"] {
      let second = try rig.open(spec)
      let end = spec.hasPrefix("R") ? "9000" : "\(port)"
      #expect(second.failure == "'\(end)' is open already: see spunnelctl status")
      try rig.expectEcho(first.ready?.first)
    }
    #expect(try rig.tunnel.grants.count == 1)
    #expect(rig.ssh.masters[0]?.remotes.count == 1)
  }

  @Test func whileTheJobWaitsAPortIsHeldForOne() throws {
    let port = try freePort()
    let first = try rig.open("\(port):8000", patience: nil)
    let second = try rig.open("\(port):8888")
    #expect(second.failure == "'\(port)' is open already: see spunnelctl status")
    #expect(!isFree(port))
    try rig.run()
    #expect(try rig.turn { first.ready != nil })
    try rig.expectEcho(first.ready?.first)
  }

  @Test func oneForwardOfSeveralIsClosedByItsPort() throws {
    try rig.run()
    let ports = [try freePort(), try freePort()]
    let asked = try rig.open("\(ports[0]):8000,\(ports[1]):8888,R:9000:53,D:")
    #expect(try rig.turn { asked.ready != nil })
    let socks = try #require(asked.ready?.last?.listen.port)
    #expect(try close("\(ports[0]):1"))
    #expect(eventually { isFree(ports[0]) })
    #expect(try close("R:9000"))
    #expect(try rig.turn { rig.ssh.masters[0]?.remotes == [] })
    #expect(try close("D:\(socks)"))
    #expect(eventually { isFree(socks.number) })
    #expect(try !close("\(ports[0]):8000") && !close("R:\(ports[1])"))
    #expect(try rig.tunnel.routes.map(\.forward.listen.port?.number) == [ports[1]])
    try rig.expectEcho(try forward("\(ports[1]):8888"))
    // It is not there again after the job was.
    try rig.tunnel.standBy()
    #expect(asked.waiting == "\(ports[1]):8888")
    #expect(try close("\(ports[1])"))
    #expect(try rig.tunnel.grants.isEmpty)
    #expect(eventually { isFree(ports[1]) })
  }

  @Test func aPortThatWasChosenIsClosedByItsNumber() throws {
    try rig.run("n1,n2")
    let asked = try rig.open(":all:8000")
    #expect(try rig.turn { asked.ready != nil })
    let ports = try #require(asked.ready).compactMap(\.listen.port)
    #expect(try close("\(ports[0])"))
    #expect(eventually { isFree(ports[0].number) })
    #expect(try rig.tunnel.routes.count == 1)
    try rig.expectEcho(asked.ready?.last)
    #expect(try close("\(ports[1])"))
    #expect(try rig.tunnel.grants.isEmpty)
  }

  @Test func whatWasClosedIsTold() throws {
    try rig.run("n1,n2")
    let asked = try rig.open(":all:8000,R:9000:53,:8888")
    #expect(try rig.turn { asked.ready != nil })
    let ports = try #require(asked.ready).compactMap(\.listen.port)
    let told = { [rig] (spec: String) in
      TunnelSpec(forwards: try rig.tunnel.close(matching: try TunnelSpec(spec)).closed).description
    }
    // Wherever it is said to lead.
    #expect(try told("R:9000:80") == "R:9000:53")
    #expect(try told("\(ports[1]):1") == "\(ports[1]):n2:8000")
    #expect(try told("\(ports[3])") == "\(ports[3]):8888")
    #expect(try told("\(ports[3])") == "")
  }

  @Test func whileTheJobWaitsAClosedPortIsFree() throws {
    let ports = [try freePort(), try freePort()]
    let asked = try rig.open("\(ports[0]):8000,\(ports[1]):8888", patience: nil)
    #expect(try close("\(ports[0])"))
    #expect(eventually { isFree(ports[0]) })
    #expect(!isFree(ports[1]))
    #expect(asked.grant?.spec.description == "\(ports[1]):8888")
    #expect(try close("\(ports[1])"))
    #expect(try rig.tunnel.grants.isEmpty)
    #expect(eventually { isFree(ports[1]) })
  }

  @Test func whoeverLeavesWhileItIsOpenedLeavesNothingBehind() throws {
    rig.ssh.prepare = { $0.remoteAnswer = .none }
    try rig.run()
    let stays = try rig.open(":7000")
    #expect(try rig.turn { stays.ready != nil })
    let asked = try rig.open("R:9000:53,:8000")
    #expect(try rig.turn { rig.ssh.orders().count == 2 })
    let master = try #require(rig.ssh.masters[0])
    try rig.tunnel.close(try #require(asked.grant))
    #expect(try rig.turn { rig.ssh.orders().count == 3 })
    master.remoteAnswer = .agree
    let late = master.sessions.first { session in
      if case .remote? = session.requests.last { true } else { false }
    }
    master.carryOutLate(try #require(late))
    #expect(master.remotes.count == 1)
    #expect(try rig.turn { master.remotes == [] && rig.ssh.orders().count > 3 })
    let other = try rig.open(":8888")
    #expect(try rig.turn { other.ready != nil })
    rig.ssh.kill(try rig.tunnel.process)
    #expect(try rig.turn { try rig.tunnel.isUp && rig.ssh.masters[0] !== master })
    #expect(
      rig.ssh.orders().map {
        if case .local(_, let to) = $0 { to } else { "\($0)" }
      } == ["localhost:7000", "localhost:8888"])
  }
}
