// All forwards of one step: asked for, opened, closed, and kept while the job comes and goes.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct TunnelTests {
  private let rig: TunnelRig

  init() throws { rig = try TunnelRig() }

  private func open(_ spec: String, patience: Int? = 30_000) throws -> TunnelRig.Asked {
    try rig.open(spec, patience: patience)
  }

  private func number(_ forward: Forward?) throws -> UInt16 {
    try #require(forward?.listen.port).number
  }

  @Test func whatIsAskedForIsBoundThenReadyThenServes() throws {
    try rig.run()
    let port = try freePort()
    let asked = try open("\(port):8000,:8888")
    guard case .bound(let bound)? = asked.reports.first else {
      Issue.record("\(asked.reports)")
      return
    }
    #expect(bound.map(\.connect.description) == ["8000", "8888"])
    #expect(try rig.turn { asked.ready != nil })
    #expect(asked.ready == bound && asked.reports.count == 2)
    #expect(try rig.tunnel.isUp)
    #expect(try rig.tunnel.routes.map(\.forward) == bound)
    for forward in bound { try rig.expectEcho(forward) }
    #expect(try Set(#require(rig.ssh.masters[0]).channels.map(\.to)).count == 2)
    #expect(try rig.tunnel.relay.bytes == (8, 8))
  }

  @Test func anExecPortThatIsFreeThereHasTheSubmitPortsNumber() throws {
    try rig.run()
    let asked = try open(":auto")
    #expect(try rig.turn { asked.ready != nil })
    let forward = try #require(asked.ready?.first)
    #expect(forward.connect == forward.listen)
    try rig.expectEcho(forward)
  }

  @Test func everyNodeHasAForwardOfItsOwn() throws {
    try rig.run("n1,n2")
    let asked = try open(":all:8000")
    #expect(try rig.turn { asked.ready != nil })
    #expect(asked.ready?.map(\.node.description) == ["n1", "n2"])
    #expect(Set(rig.ssh.started) == ["n1", "n2"])
    for forward in try #require(asked.ready) { try rig.expectEcho(forward) }
    #expect(rig.ssh.masters[0]?.channels.count == 1)
    #expect(rig.ssh.masters[1]?.channels.count == 1)
  }

  @Test func closingGivesThePortsUpAndCutsConnections() throws {
    try rig.run()
    let (one, other) = (try open(":8000,R:9000:53"), try open(":8888"))
    #expect(try rig.turn { one.ready != nil && other.ready != nil })
    let client = try rig.client(one.ready?.first)
    client.send("x")
    #expect(try rig.turn([client]) { client.text == "x" })
    try rig.tunnel.close(try #require(one.grant))
    #expect(try rig.turn([client]) { client.failure == ECONNRESET })
    let port = try number(one.ready?.first)
    #expect(eventually { isFree(port) })
    let master = try #require(rig.ssh.masters[0])
    #expect(try rig.turn { master.remotes == [] })
    #expect(try rig.tunnel.grants.count == 1)
    try rig.expectEcho(other.ready?.first)
  }

  @Test func aPortThatIsInUseIsAFailure() throws {
    let port = try freePort()
    let holder = FileDescriptorBox(try Socket.listen(.v4, port: port))
    try rig.run()
    let free = try freePort()
    let asked = try open("\(free):8000,\(port):8000")
    #expect(asked.failure?.hasPrefix("port \(port) of \(Host.name) is in use") == true)
    #expect(asked.reports.count == 1)
    #expect(try rig.tunnel.grants.isEmpty)
    #expect(eventually { isFree(free) })
    withExtendedLifetime(holder) {}
  }

  @Test func aHostThatIsNoNodeIsAFailure() throws {
    try rig.run("n1,n2")
    let asked = try open(":db:80")
    #expect(asked.failure?.hasPrefix("'db' in '0:db:80' is no node of step 17.0") == true)
    #expect(try rig.tunnel.grants.isEmpty)
  }

  @Test func anSshThatIsRefusedIsAFailureThatKeepsThePortsFromOthers() throws {
    try rig.ssh.refuse("Host key verification failed.")
    try rig.run()
    rig.keepsPorts = true
    let port = try freePort()
    let asked = try open("\(port):8000")
    #expect(try rig.turn { asked.failure != nil })
    #expect(asked.failure?.hasPrefix("n1: Host key verification failed") == true)
    #expect(!isFree(port))
    try rig.tunnel.keptPorts = []
    #expect(eventually { isFree(port) })
  }

  @Test func oneNodeThatFailsFailsWhatWasAskedForTogether() throws {
    rig.ssh.prepare = { if $0.link == 1 { $0.localAnswer = .refuse } }
    try rig.run("n1,n2")
    let asked = try open(":all:8000")
    #expect(try rig.turn { asked.failure != nil })
    #expect(try rig.tunnel.grants.isEmpty && rig.tunnel.routes.isEmpty)
    try rig.loop.settle(rig.work)
    #expect(asked.reports.count == 2)
  }

  @Test func aLostSshCutsAndComesBackOnTheSamePorts() throws {
    try rig.run()
    let asked = try open(":8000")
    #expect(try rig.turn { asked.ready != nil })
    let old = try rig.client(asked.ready?.first)
    old.send("x")
    #expect(try rig.turn([old]) { old.text == "x" })
    rig.ssh.kill(try rig.tunnel.process)
    #expect(try rig.turn([old]) { old.failure == ECONNRESET })
    #expect(try rig.turn { rig.cuts == 1 })
    #expect(try !rig.tunnel.isUp)
    // Waits, and is served.
    try rig.expectEcho(asked.ready?.first)
    #expect(try rig.tunnel.isUp)
    #expect(asked.reports.count == 2)
  }

  @Test func aProbeTellsWhatListens() throws {
    try rig.run("n1,n2")
    rig.ssh.prepare = { if $0.link == 1 { $0.probeAnswer = .refuse } }
    let asked = try open(":all:8000,R:9000:53,D:")
    #expect(try rig.turn { asked.ready != nil })
    #expect(try rig.tunnel.routes.allSatisfy { $0.far == .unknown })
    var done = 0
    try rig.tunnel.probe { done += 1 }
    #expect(try rig.turn { done == 1 })
    #expect(try rig.tunnel.routes.map(\.far) == [.listening, .refused, .unknown, .unknown])
    rig.ssh.masters[0]?.probeAnswer = .refuse
    rig.ssh.masters[1]?.probeAnswer = .agree
    try rig.tunnel.probe { done += 1 }
    #expect(try rig.turn { done == 2 })
    #expect(try rig.tunnel.routes.map(\.far) == [.refused, .listening, .unknown, .unknown])
  }

  @Test func withoutANodeAProbeIsDoneAtOnce() throws {
    var done = 0
    try rig.tunnel.probe { done += 1 }
    #expect(done == 1)
  }

  @Test func whatPassesTellsWhatListens() throws {
    rig.ssh.prepare = { $0.emptyAnswer = .agree }
    try rig.run()
    let asked = try open(":8000")
    #expect(try rig.turn { asked.ready != nil })
    let route = try #require(try rig.tunnel.routes.first)
    #expect(route.far == .unknown)
    var client = try rig.client(route.forward)
    client.send("x")
    #expect(try rig.turn([client]) { client.text == "x" })
    // Not when the connection ends, which may be the next day.
    #expect(route.far == .listening)
    client.finish()
    let master = try #require(rig.ssh.masters[0])
    // Nor does anything listen on the node's own address.
    master.probeAnswer = .refuse
    client = try rig.client(route.forward)
    #expect(try rig.turn { master.channels.count == 2 })
    try rig.ssh.say("channel 5: open failed: connect failed: Connection refused")
    #expect(try rig.turn { rig.lines.contains { $0.hasPrefix("ssh: channel 5: open failed") } })
    master.channels[1].end.close()
    client.finish()
    #expect(try rig.turn([client]) { route.far == .refused && client.failure == ECONNRESET })
  }

  @Test func stoppingEndsEverything() throws {
    try rig.run("n1,n2")
    let asked = try open(":all:8000")
    #expect(try rig.turn { asked.ready != nil })
    let process = try #require(try rig.tunnel.process)
    try rig.tunnel.stop()
    #expect(try rig.tunnel.process == nil)
    #expect(eventually { !isRunning(process) })
    for forward in try #require(asked.ready) {
      let port = try number(forward)
      #expect(eventually { isFree(port) })
    }
  }
}
