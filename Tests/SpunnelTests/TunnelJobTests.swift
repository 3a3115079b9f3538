// A tunnel whose job has not started, starts, and is put back into the queue.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct TunnelJobTests {
  private let rig: TunnelRig

  init() throws { rig = try TunnelRig() }

  private func holds(_ port: UInt16) -> Bool { !isFree(port) }

  @Test func portsAreHeldUntilTheJobStarts() throws {
    let port = try freePort()
    let asked = try rig.open("\(port):8000,R:9000:53,:all:80", patience: nil)
    #expect(asked.waiting == "\(port):8000,R:9000:53,0:all:80")
    #expect(holds(port))
    #expect(rig.ssh.started == [])
    let early = try End(try connectLoopback(port))
    early.send("early")
    try rig.run()
    #expect(try rig.turn([early]) { early.text == "early" })
    #expect(asked.ready?.count == 3)
    #expect(asked.reports.count == 3)
  }

  @Test func aPortThatIsChosenBeforeTheJobStaysWhateverTheJobDoes() throws {
    let asked = try rig.open(":8000,D:", patience: nil)
    let waiting = try #require(asked.waiting)
    let ports = try TunnelSpec(waiting).ports
    #expect(ports.count == 2 && ports.allSatisfy { holds($0.number) })
    for _ in 0..<2 {
      try rig.run()
      #expect(try rig.turn { asked.ready != nil })
      #expect(asked.ready?.compactMap(\.listen.port) == ports)
      try rig.expectEcho(asked.ready?.first)
      try rig.tunnel.standBy()
      #expect(asked.waiting == waiting)
      #expect(ports.allSatisfy { holds($0.number) })
    }
  }

  @Test func aJobThatGoesBackToTheQueueKeepsItsPortsAndNothingElse() throws {
    try rig.run()
    let port = try freePort()
    let asked = try rig.open("\(port):8000,:8888,:all:80")
    #expect(try rig.turn { asked.ready != nil })
    let forwards = try #require(asked.ready)
    let client = try rig.client(forwards[0])
    client.send("x")
    #expect(try rig.turn([client]) { client.text == "x" })
    let process = try #require(try rig.tunnel.process)
    try rig.tunnel.standBy()
    #expect(try rig.turn([client]) { client.failure == ECONNRESET })
    #expect(eventually { !isRunning(process) })
    #expect(try rig.tunnel.nodes == [] && rig.tunnel.routes.isEmpty && !rig.tunnel.isUp)
    let ports = try forwards.map { try #require($0.listen.port).number }
    #expect(asked.waiting == "\(port):8000,\(ports[1]):8888,0:all:80")
    #expect(holds(ports[0]) && holds(ports[1]))
    // How many a forward to every node wants is not known.
    #expect(eventually { isFree(ports[2]) })
    try rig.tunnel.standBy()
    #expect(asked.reports.count == 3)
    try rig.run("n2,n3")
    #expect(try rig.turn { asked.ready != nil })
    #expect(asked.ready?.map(\.node.description) == ["n2", "n2", "n2", "n3"])
    #expect(asked.ready?.prefix(2).compactMap(\.listen.port?.number) == Array(ports.prefix(2)))
    try rig.expectEcho(asked.ready?.first)
  }

  @Test func theSameNodesAgainChangeNothing() throws {
    try rig.run()
    let asked = try rig.open(":8000")
    #expect(try rig.turn { asked.ready != nil })
    let process = try rig.tunnel.process
    try rig.run()
    #expect(try rig.tunnel.process == process)
    #expect(asked.reports.count == 2)
  }

  private var sockets: [String] { rig.ssh.scratch.names().filter { $0.hasPrefix("web") } }

  @Test(arguments: [("web-%j.sock", "web-17.sock", true), ("web-%n.sock", "web-0.sock", false)])
  func aPathIsHeldUnlessItNamesTheNode(pattern: String, name: String, isHeld: Bool) throws {
    let held = isHeld ? [name] : []
    let asked = try rig.open("\(rig.ssh.scratch.path)/\(pattern):8000", patience: nil)
    #expect(sockets == held)
    for _ in 0..<2 {
      try rig.run()
      #expect(try rig.turn { asked.ready != nil })
      let made = try #require(asked.ready?.first?.listen.path)
      #expect(made == rig.ssh.scratch.path + "/" + name)
      let client = try End(try Socket.connect(unix: made))
      client.send("x")
      #expect(try rig.turn([client]) { client.text == "x" })
      try rig.tunnel.standBy()
      #expect(sockets == held)
    }
    let spec = try TunnelSpec("\(rig.ssh.scratch.path)/\(pattern):8000")
    #expect(try rig.tunnel.close(matching: spec).missing == [])
    #expect(sockets == [])
  }

  @Test func whileItWaitsAPortInUseIsAFailureAndNothingIsKept() throws {
    let (free, port) = (try freePort(), try freePort())
    let holder = FileDescriptorBox(try Socket.listen(.v4, port: port))
    let asked = try rig.open("\(free):80,:81,\(port):8000")
    #expect(asked.failure?.hasPrefix("port \(port) of") == true)
    #expect(try rig.tunnel.grants.isEmpty)
    #expect(eventually { isFree(free) })
    // Nor is what was chosen in between.
    let held = Mirror(reflecting: rig.ends).descendant("held") as? [Endpoint: [SubmitSocket]]
    #expect(held?.isEmpty == true)
    withExtendedLifetime(holder) {}
  }

  @Test func allOfItCanFailForOneReason() throws {
    let ports = [try freePort(), try freePort()]
    rig.keepsPorts = true
    let asked = try ports.map { try rig.open("\($0):8000", patience: nil) }
    try rig.tunnel.fail("for a reason")
    #expect(asked.map(\.failure) == ["for a reason", "for a reason"])
    #expect(try rig.tunnel.grants.isEmpty)
    for port in ports { #expect(!isFree(port)) }
    try rig.tunnel.keptPorts = []
    for port in ports { #expect(eventually { isFree(port) }) }
  }

  @Test func aRunThatCannotBeIsAFailureThatLeavesTheOthers() throws {
    let bad = try rig.open(":+1:80", patience: nil)
    let good = try rig.open(":80", patience: nil)
    try rig.run("n1")
    #expect(bad.failure?.contains("is no node of step 17.0, which") == true)
    #expect(try rig.turn { good.ready != nil })
    #expect(try rig.tunnel.grants.count == 1)
  }
}
