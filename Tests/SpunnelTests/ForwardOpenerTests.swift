// What happens between ssh's login and the first connection, against a fake master.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper

@Suite struct ForwardOpenerTests: MasterSuite {
  let rig: MasterRig
  private let told = ToldOpener()

  init() throws { rig = try MasterRig() }

  @discardableResult
  private func open(
    _ spec: String = "8001:8000", _ inquiry: Inquiry = .permission, on other: ControlMaster? = nil
  ) throws -> ForwardOpener {
    try open(try routes(spec), inquiry, on: other)
  }

  @discardableResult
  private func open(
    _ routes: [Route], _ inquiry: Inquiry = .permission, on other: ControlMaster? = nil
  ) throws -> ForwardOpener {
    let opener = ForwardOpener(
      loop, other ?? master, try node(), routes, inquiry, refusals: told
    ) { [told] in told.take($0) }
    told.openers.append(opener)
    opener.start()
    return opener
  }

  private func local(_ number: Int, _ exec: UInt16) -> FakeMaster.Request {
    .local(path: fake.socketPath(number), to: "localhost:\(exec)")
  }

  private static let empty = FakeMaster.Request.probe("localhost:0")
  private static let prohibited = "channel 2: open failed: administratively prohibited: open failed"
  private static let refused = "channel 3: open failed: connect failed: Connection refused"

  @Test func everyForwardIsOpenedAndNoServiceTouchedAndThenItIsReady() throws {
    let routes = try routes("8001:8000,8002:8888")
    try open(routes)
    #expect(told.count == 0)
    #expect(try turn { told.isReady })
    #expect(fake.orders == [local(1, 8000), local(2, 8888)])
    #expect(fake.probes == [Self.empty])
    #expect(told.count == 1)
    #expect(routes.map(\.far) == [.unknown, .unknown])
    for route in routes.reversed() {
      let client = try master.sockets.client(of: route.service)
      client.send("to \(route.forward.exec)")
      #expect(
        try turn {
          client.receive()
          return client.text == "to \(route.forward.exec)"
        })
    }
    #expect(Set(fake.channels.map(\.to)) == ["localhost:8888", "localhost:8000"])
    #expect(try turn { fake.sessions.allSatisfy { !$0.isHeld } })
  }

  @Test func aReturnProbesNothing() throws {
    let routes = try routes("8001:8000,8002:8888")
    try open(routes, .none)
    #expect(try turn { told.isReady })
    #expect(fake.requests == [local(1, 8000), local(2, 8888)])
    #expect(routes.map(\.far) == [.unknown, .unknown])
  }

  @Test func aPortThatWasNotForwardedIsNoPlaceToConnectTo() throws {
    try open()
    #expect(try turn { told.isReady })
    #expect(try master.sockets.leads(to: try service(8000)))
    #expect(try !master.sockets.leads(to: try service(8009)))
  }

  @Test func anSshThatDoesNotListenIsAFailure() throws {
    fake.localAnswer = .refuse
    try open("8001:8000,8002:8888")
    #expect(try turn { told.reason != nil })
    #expect(told.reason == "ssh does not listen on '\(fake.record.directory.path)': no")
    #expect(try turn { !fake.sessions[0].isHeld })
    #expect(told.count == 1)
    #expect(fake.requests == [local(1, 8000)])
  }

  @Test func anSshdIsAskedOnceWhetherItForwards() throws {
    try open()
    #expect(try turn { told.isReady })
    told.isReady = false
    try open("8002:8888")
    #expect(told.count == 1)
    #expect(try turn { told.isReady })
    #expect(fake.orders == [local(1, 8000), local(2, 8888)])
    #expect(fake.requests.last == local(2, 8888))
    #expect(told.expected == fake.requests.count { $0.isOfNothing })
  }

  @Test func whateverListensAtPort0IsNoFailure() throws {
    fake.emptyAnswer = .agree
    try open()
    #expect(try turn { told.isReady })
    // A refusal that does not come is not waited for.
    #expect(try turn { told.expected == 0 })
  }

  @Test func theEndsAreProbedWhenThatIsAskedFor() throws {
    let routes = try routes("8001:8000,8002:8888")
    try open(routes, .ends)
    #expect(try turn { told.isReady })
    #expect(fake.requests.count == 4)
    #expect(fake.probes == [.probe("localhost:8000"), .probe("localhost:8888")])
    #expect(routes.map(\.far) == [.listening, .listening])
    fake.probeAnswer = .refuse
    told.refusals = [Self.refused]
    told.isReady = false
    try open(routes, .ends)
    #expect(try turn { told.isReady })
    #expect(routes.map(\.far) == [.refused, .refused])
    // Each by the node's own name as well: a service may listen there alone.
    #expect(fake.probes.suffix(4).contains(.probe("n1:8000")))
    #expect(told.expected == 4)
  }

  @Test func anSshdThatPermitsTheEndsAloneIsNoFailure() throws {
    told.refusals = [Self.prohibited, Self.refused, Self.refused]
    fake.probeAnswer = .refuse
    let routes = try routes("8001:8000,8002:8888")
    try open(routes)
    #expect(try turn { told.isReady })
    #expect(fake.probes == [Self.empty, .probe("localhost:8000"), .probe("localhost:8888")])
    #expect(fake.requests.count { !$0.isOfNothing } == 4)
    #expect(routes.map(\.far) == [.unknown, .unknown])
  }

  @Test func anSshdThatForbidsForwardingIsAFailureThatSaysSo() throws {
    fake.probeAnswer = .refuse
    told.refusals = [Self.prohibited, Self.refused, Self.prohibited]
    try open("8001:8000,8002:8888")
    #expect(try turn { told.reason != nil })
    let reason = try #require(told.reason)
    #expect(reason.hasPrefix("n1:8888: "))
    #expect(reason.contains("AllowTcpForwarding"))
    #expect(told.count == 1)
  }

  @Test func anSshdThatDoesNotAnswerIsHelpedOnOnceAndTakenForASlowOne() throws {
    fake.emptyAnswer = .none
    try open()
    #expect(try turn { told.isReady })
    // One connection for the forward, the question and its help; both are held until their answers.
    #expect(fake.sessions.count == 3)
    #expect(fake.probes == [Self.empty])
    #expect(fake.sessions[1].isHeld && fake.sessions[2].isHeld)
    for session in fake.sessions.dropFirst() { fake.reply(.agree, to: session) }
    #expect(try turn { fake.sessions.allSatisfy { !$0.isHeld } })
    #expect(told.count == 1 && told.expected == 0)
    // It has not shown what it permits.
    told.isReady = false
    fake.emptyAnswer = .refuse
    try open("8002:8888")
    #expect(try turn { told.isReady })
    #expect(fake.requests.suffix(from: 3).contains(Self.empty))
  }

  @Test func anSshThatEndsInsteadOfAnsweringIsLost() throws {
    fake.localAnswer = .hangUp
    try open()
    #expect(try turn { told.isLost })
    fake.localAnswer = .agree
    fake.emptyAnswer = .hangUp
    told.isLost = false
    try open()
    #expect(try turn { told.isLost })
    #expect(told.count == 2)
  }

  @Test func stoppingIsWithoutAWord() throws {
    fake.emptyAnswer = .none
    let opener = try open()
    #expect(try turn { !fake.probes.isEmpty })
    opener.stop()
    for session in fake.sessions { fake.reply(.agree, to: session) }
    #expect(try turn { fake.sessions.allSatisfy { !$0.isHeld } })
    try loop.settle(fake.work)
    #expect(told.count == 0)
    opener.stop()
    #expect(told.count == 0)
  }

  @Test func withoutAMasterNothingIsOpened() throws {
    fake.die()
    #expect(
      eventually {
        told.isLost = false
        guard let opener = try? open() else { return false }
        opener.stop()
        return told.isLost
      })
    fake.record.removeControl(of: 0)
    #expect(throws: SystemError("open control", ENOENT)) { try ControlMaster(fake.record, link: 0) }
    #expect(!told.isReady)
  }
}
