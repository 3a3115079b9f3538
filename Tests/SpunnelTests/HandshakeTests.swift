// What happens between ssh's login and the first connection, against a fake master.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

@Suite struct HandshakeTests {
  private final class Told {
    var sockets: ForwardSockets?
    var reason: String?
    var isLost = false
    var count = 0
    var refusal: String?
  }

  private let loop: EventLoop
  private let scratch: Scratch
  private let master: FakeMaster
  private let told = Told()

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    master = try FakeMaster(scratch)
  }

  private func handshake(_ spec: String = "8001:8000", isFirst: Bool = true) throws -> Handshake {
    let request = try KeeperRequest(
      step: StepName(job: 17, step: 0), node: try #require(NodeName("n1")),
      spec: try TunnelSpec(spec), arguments: [])
    return try Handshake(
      loop, master.record, request, isFirst: isFirst, lastWords: { [told] in told.refusal },
      done: { [told] outcome in
        told.count += 1
        switch outcome {
        case .ready(let sockets): told.sockets = sockets
        case .failed(let reason): told.reason = reason
        case .lost: told.isLost = true
        }
      })
  }

  private func turn(until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      try master.work()
      return condition()
    }
  }

  private func forward(_ submit: UInt16, _ exec: UInt32) throws -> FakeMaster.Request {
    let port = try #require(Port(submit))
    return .forward(path: master.record.socketPath(of: port), host: "localhost", port: exec)
  }

  /// The probes without those that only help another on.
  private var probes: [FakeMaster.Request] {
    var seen: [FakeMaster.Request] = []
    for request in master.requests {
      if case .probe = request, !seen.contains(request) { seen.append(request) }
    }
    return seen
  }

  @Test func everyForwardIsOpenedAndProbedAndThenItIsReady() throws {
    let handshake = try handshake("8001:8000,8002:8888")
    try handshake.start()
    #expect(told.count == 0)
    #expect(try turn { told.sockets != nil })
    #expect(master.sessions[0].requests == [try forward(8001, 8000), try forward(8002, 8888)])
    #expect(
      probes == [.probe(host: "localhost", port: 8000), .probe(host: "localhost", port: 8888)])
    #expect(told.count == 1)
    let sockets = try #require(told.sockets)
    for forward in try TunnelSpec("8002:8888,8001:8000").forwards {
      let client = try End(try sockets.connect(forward))
      client.send("to \(forward.exec)")
      #expect(
        try turn {
          client.receive()
          return client.text == "to \(forward.exec)"
        })
    }
    #expect(Set(master.services.map(\.port)) == [8888, 8000])
    #expect(try turn { master.sessions.allSatisfy { !$0.isHeld } })
  }

  @Test func aReturnProbesNothing() throws {
    let handshake = try handshake("8001:8000,8002:8888", isFirst: false)
    try handshake.start()
    #expect(try turn { told.sockets != nil })
    #expect(probes == [])
    #expect(master.sessions.count == 1)
  }

  @Test func aPortThatWasNotForwardedIsNoPlaceToConnectTo() throws {
    let handshake = try handshake()
    try handshake.start()
    #expect(try turn { told.sockets != nil })
    let other = try #require(try TunnelSpec("8009:8000").forwards.first)
    #expect(throws: SystemError("connect", ENOENT)) { _ = try told.sockets?.connect(other) }
  }

  @Test func anSshThatDoesNotListenIsAFailure() throws {
    master.forwardAnswer = .refuse
    let handshake = try handshake("8001:8000,8002:8888")
    try handshake.start()
    #expect(try turn { told.reason != nil })
    #expect(
      told.reason == "ssh does not listen on '\(master.record.directory.path)': no")
    #expect(try turn { !master.sessions[0].isHeld })
    #expect(told.count == 1)
    #expect(probes == [])
  }

  @Test func aServiceThatIsNotThereYetIsNoFailure() throws {
    master.probeAnswer = .refuse
    told.refusal = "channel 2: open failed: connect failed: Connection refused"
    let handshake = try handshake("8001:8000,8002:8888")
    try handshake.start()
    #expect(try turn { told.sockets != nil })
    #expect(probes.count == 2)
    #expect(told.reason == nil)
  }

  @Test func anSshdThatForbidsForwardingIsAFailureThatSaysSo() throws {
    master.probeAnswer = .refuse
    told.refusal = "channel 2: open failed: administratively prohibited: open failed"
    let handshake = try handshake("8001:8000,8002:8888")
    try handshake.start()
    #expect(try turn { told.reason != nil })
    let reason = try #require(told.reason)
    #expect(reason.hasPrefix("n1:8000: "))
    #expect(reason.contains("AllowTcpForwarding"))
    #expect(told.count == 1)
    #expect(probes == [.probe(host: "localhost", port: 8000)])
  }

  @Test func aProbeThatIsNotAnsweredIsHelpedOnOnceAndTakenForASlowService() throws {
    master.probeAnswer = .none
    let handshake = try handshake()
    try handshake.start()
    #expect(try turn { told.sockets != nil })
    // One connection for the forward, the probe and its help; both are held until their answers.
    #expect(master.sessions.count == 3)
    #expect(master.sessions[1].isHeld && master.sessions[2].isHeld)
    for session in master.sessions.dropFirst() { master.reply(.agree, to: session) }
    #expect(try turn { master.sessions.allSatisfy { !$0.isHeld } })
    #expect(told.count == 1)
  }

  @Test func anSshThatEndsInsteadOfAnsweringIsLost() throws {
    master.forwardAnswer = .hangUp
    let first = try handshake()
    try first.start()
    #expect(try turn { told.isLost })
    master.forwardAnswer = .agree
    master.probeAnswer = .hangUp
    told.isLost = false
    let second = try handshake()
    try second.start()
    #expect(try turn { told.isLost })
    #expect(told.count == 2)
  }

  @Test func stoppingIsWithoutAWord() throws {
    master.probeAnswer = .none
    let handshake = try handshake()
    try handshake.start()
    #expect(try turn { !probes.isEmpty })
    handshake.stop()
    for session in master.sessions { master.reply(.agree, to: session) }
    #expect(try turn { master.sessions.allSatisfy { !$0.isHeld } })
    try loop.settle(master.work)
    #expect(told.count == 0)
    handshake.stop()
    #expect(told.count == 0)
  }

  @Test func withoutAMasterThereIsNoHandshake() throws {
    let late = try handshake()
    master.die()
    #expect(
      eventually {
        do throws(SystemError) { try late.start() } catch { return error.code == ECONNREFUSED }
        return false
      })
    master.record.removeControl()
    #expect(throws: SystemError("open control", ENOENT)) { try handshake() }
    #expect(told.count == 0)
  }
}
