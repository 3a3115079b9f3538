// The submit ports: both loopback addresses or none, held until released.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

@Suite struct ClaimTests {
  private let scratch: Scratch
  private let settings: Settings

  init() throws {
    scratch = try Scratch()
    settings = try Settings(arguments: ["state_dir=\(scratch.path)"])
  }

  private func spec(_ ports: UInt16...) throws -> TunnelSpec {
    try TunnelSpec(ports.map { "\($0):80" }.joined(separator: ","))
  }

  private func expectBusy(_ port: UInt16, at location: SourceLocation = #_sourceLocation) {
    for loopback in Loopback.allCases {
      #expect(
        throws: SystemError("bind \(loopback.name):\(port)", EADDRINUSE), sourceLocation: location
      ) { _ = try Socket.listen(loopback, port: port) }
    }
  }

  private func expectFree(_ port: UInt16, at location: SourceLocation = #_sourceLocation) {
    #expect(eventually { isFree(port) }, sourceLocation: location)
  }

  @Test func everyPortIsBoundOnBothAddressesAndFreedAtTheEnd() throws {
    let ports = [try freePort(), try freePort()]
    do {
      let claim = try Claim(try spec(ports[0], ports[1]), settings)
      #expect(claim.sockets.count == 4)
      for port in ports {
        expectBusy(port)
        for loopback in Loopback.allCases { _ = try connectLoopback(port, loopback) }
      }
      #expect(claim.spec.forwards.count == 2)
    }
    for port in ports { expectFree(port) }
  }

  @Test func thePortsAreListeningSoThatNobodyElseCanListen() throws {
    let port = try freePort()
    let claim = try Claim(try spec(port), settings)
    for socket in claim.sockets { #expect(Socket.isListening(socket.descriptor.raw)) }
  }

  @Test(arguments: Loopback.allCases)
  func oneBusyAddressIsEnoughToBeRefusedAndNothingIsKept(loopback: Loopback) throws {
    let (first, second) = (try freePort(), try freePort())
    do {
      let holder = try Socket.listen(loopback, port: second)
      #expect(throws: SubmitError.busy(try #require(Port(second)), on: Host.name)) {
        _ = try Claim(try spec(first, second), settings)
      }
      #expect(holder.raw >= 0)
    }
    expectFree(first)
    expectFree(second)
  }

  @Test func aPortOfOnesOwnTunnelIsNamedWithItsJob() throws {
    let number = try freePort()
    let port = try #require(Port(number))
    let step = StepName(job: 17, step: 0xffff_fffa)
    let holder = try Claim(try spec(number), settings)
    let record = try Record.create(step, in: scratch.path, user: getuid())
    try record.write(
      HostFile(nodes: try nodes(), forwards: try forwards(holder.spec.description)))
    let error = #expect(throws: SubmitError.self) { _ = try Claim(try spec(number), settings) }
    #expect(error == .own(port, step))
    #expect(error?.description.contains("job 17, step interactive") == true)
    record.remove()
  }

  @Test func aPortWithConnectionsInTimeWaitCanBeClaimedAgain() throws {
    let port = try freePort()
    for _ in 0..<2 {
      let claim = try Claim(try spec(port), settings)
      let client = try End(try connectLoopback(port))
      // The server's side closes first, so that it is the one in TIME-WAIT.
      let listener = try #require(claim.sockets.first).descriptor.raw
      _ = try Socket.accept(from: listener)
      #expect(
        eventually {
          client.receive()
          return client.sawEnd
        })
    }
  }

  @Test(arguments: [(8001, "8002:8000"), (65535, "65534:8000")] as [(UInt16, String)])
  func anotherPortIsProposed(port: UInt16, proposal: String) throws {
    let error = SubmitError.busy(try #require(Port(port)), on: "login")
    #expect(error.description.contains("port \(port) of login"))
    #expect(error.description.contains(proposal))
  }
}
