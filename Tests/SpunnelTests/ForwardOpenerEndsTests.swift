// The forwards of an opener that are more than a port to a port, against a fake master.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct ForwardOpenerEndsTests: MasterSuite {
  let rig: MasterRig
  private let told = ToldOpener()

  init() throws { rig = try MasterRig() }

  private func open(_ routes: [Route], _ inquiry: Inquiry = .permission) {
    let opener = ForwardOpener(
      loop, master, routes[0].forward.node, routes, inquiry, refusals: told
    ) { [told] in told.take($0) }
    told.openers.append(opener)
    opener.start()
  }

  private static func choice(_ number: Int) -> FakeMaster.Request {
    .remote(at: "localhost:0", to: "localhost:\(number)")
  }

  @Test func aPortOfTheNodesChoiceIsChosenClosedAndOpened() throws {
    let routes = try routes(":auto")
    fake.nextPort = 65535
    open(routes)
    #expect(try turn { told.isReady })
    #expect(routes[0].forward.connect.description == "65535")
    #expect(
      fake.orders == [
        Self.choice(1), .close(Self.choice(1)),
        .local(path: fake.socketPath(1), to: "localhost:65535"),
      ])
    #expect(fake.probes == [.probe("localhost:0")])
    #expect(fake.remotes == [])
    #expect(try master.sockets.leads(to: try service(65535)))
  }

  @Test func anSshdIsAskedAgainAfterItHasChosenAPort() throws {
    open(try routes("8001:8000"))
    #expect(try turn { told.isReady })
    told.isReady = false
    fake.emptyAnswer = .none
    open(try routes(":auto"))
    #expect(try turn { fake.orders.count == 4 && fake.requests.last?.isOfNothing == true })
    #expect(!told.isReady)
    // It answers in order: it has let go of the port by then.
    for session in fake.sessions where session.requests.last?.isOfNothing == true {
      fake.reply(.refuse, to: session)
    }
    #expect(try turn { told.isReady })
  }

  @Test func twoChoicesAreToldApart() throws {
    let routes = try routes(":auto,:auto")
    open(routes, .none)
    #expect(try turn { told.isReady })
    #expect(routes.map(\.forward.connect.description) == ["40001", "40002"])
    #expect(
      fake.orders.filter { if case .remote = $0 { true } else { false } } == [
        Self.choice(1), Self.choice(2),
      ])
  }

  @Test(arguments: Loopback.allCases)
  func aPortThatIsBusyOnOneAddressOfTheNodeIsAFailureThatNamesIt(loopback: Loopback) throws {
    fake.refusedTrials = ["\(loopback.address):9000"]
    open(try routes("R:9000:5432"))
    #expect(try turn { told.reason != nil })
    let reason = "\(loopback.name):9000 is in use there: take another exec port"
    #expect(told.reason == "n1 does not listen on '9000': \(reason)")
    #expect(fake.trials.last == "\(loopback.address):0")
    #expect(try turn { fake.openTrials == [] })
    #expect(fake.orders == [])
  }

  @Test(arguments: [
    ["::1:9000", "::1:0"], ["127.0.0.1:9000", "127.0.0.1:0", "::1:9000", "::1:0"],
  ])
  func anAddressThatTheNodeDoesNotHaveIsNotMissed(refused: [String]) throws {
    fake.refusedTrials = Set(refused)
    open(try routes("R:9000:5432"))
    #expect(try turn { told.isReady })
    #expect(fake.trials.count == 2 + refused.count / 2 && fake.openTrials == [])
    #expect(fake.orders == [.remote(at: "localhost:9000", to: "localhost:5432")])
  }

  @Test func whatComesBackIsNotTriedOutAgain() throws {
    open(try routes("R:9000:5432,R:/p:/q"), .none)
    #expect(try turn { told.isReady })
    #expect(fake.trials == [])
  }

  @Test func anSshdThatChoosesNoPortIsAFailureThatSaysWhatToDo() throws {
    fake.remoteAnswer = .refuse
    open(try routes(":auto"))
    #expect(try turn { told.reason != nil })
    #expect(told.reason?.hasPrefix("n1 chooses no port for auto: no: name the exec port") == true)
    #expect(fake.orders == [Self.choice(1)])
  }

  @Test(arguments: [0, 65536, .max] as [UInt32])
  func aChoiceThatIsNoPortIsAFailure(port: UInt32) throws {
    fake.nextPort = port == .max ? .max - 1 : port
    open(try routes(":auto"))
    #expect(try turn { told.reason != nil })
    #expect(told.reason == "n1: sshd chose port '\(fake.nextPort - 1)', which is none")
  }

  @Test func anSshThatEndsWhileAPortIsChosenIsLost() throws {
    fake.remoteAnswer = .hangUp
    open(try routes(":auto"))
    #expect(try turn { told.isLost })
    #expect(told.count == 1)
  }

  @Test func aRemoteForwardIsAskedForAndNotProbed() throws {
    open(try routes("R:9000:5432,R:/p:db:53,R:9001:/q"))
    #expect(try turn { told.isReady })
    #expect(
      fake.requests == [
        .remote(at: "localhost:9000", to: "localhost:5432"), .remote(at: "/p", to: "db:53"),
        .remote(at: "localhost:9001", to: "/q"),
      ])
    #expect(scratch.names("/spunnel-\(getuid())/17.0") == ["control"])
  }

  @Test func aPortThatTheNodeHasInUseIsAFailureThatSaysWhatToDo() throws {
    fake.remoteAnswer = .refuse
    open(try routes("R:9000:5432,8001:8000"))
    #expect(try turn { told.reason != nil })
    #expect(told.reason?.hasPrefix("n1 does not listen on '9000': no: take another") == true)
    #expect(told.reason?.contains("AllowTcpForwarding") == true)
    #expect(fake.requests.count == 1)
  }

  @Test func aPathIsOpenedAndNotProbed() throws {
    let routes = try routes("8001:/run/s")
    open(routes)
    #expect(try turn { told.isReady })
    #expect(fake.requests == [.local(path: fake.socketPath(1), to: "/run/s")])
    #expect(routes[0].far == .unknown)
    let client = try master.sockets.client(of: routes[0].service)
    client.send("x")
    #expect(
      try turn {
        client.receive()
        return client.text == "x"
      })
  }

  @Test func anotherHostIsOpenedAndProbedByItsName() throws {
    open(try routes("8001:db:5432,8002:[0::1]:80,8003:8000"))
    #expect(try turn { told.isReady })
    #expect(fake.orders.first == .local(path: fake.socketPath(1), to: "db:5432"))
    // The node itself has no service touched, by whatever name.
    #expect(fake.probes == [.probe("localhost:0"), .probe("db:5432")])
  }

  @Test func theEntranceOfSocksClientsAsksForNothing() throws {
    open(try routes("D:1080"))
    #expect(told.isReady)
    #expect(fake.requests == [])
  }

  @Test func aServiceThatIsOpenAlreadyIsAskedForNoMore() throws {
    open(try routes("8001:8000"))
    #expect(try turn { told.isReady })
    told.isReady = false
    let again = try routes("8002:8000")
    open(again)
    #expect(try turn { told.isReady })
    #expect(fake.orders.count == 1 && fake.probes.count == 1)
  }

  @Test func anSshThatIsTooBusyIsAskedAgain() throws {
    // Connections that nobody accepts fill ssh's queue.
    let path = fake.record.controlPath(of: 0)
    fake.die()
    _ = unsafe unlink(path)
    let control = try listenUnix(path, backlog: 0)
    let master = try ControlMaster(fake.record, link: 0)
    let filler = FileDescriptorBox(try Socket.connect(unix: path))
    let opener = ForwardOpener(
      loop, master, try node(), try routes("R:9000:53"), .permission, refusals: told
    ) { [told] in told.take($0) }
    opener.start()
    let late = Clock.milliseconds() + 120
    #expect(try loop.turn { Clock.milliseconds() > late })
    #expect(told.count == 0)
    for _ in 0..<2 {
      #expect(
        try loop.turn {
          guard let accepted = try Socket.accept(from: control.raw) else { return false }
          _ = try? accepted.descriptor.read(atMost: 1)
          return true
        })
    }
    // Both were closed without an answer.
    #expect(try loop.turn { told.isLost })
    withExtendedLifetime((opener, filler)) {}
  }
}

@Suite struct ServiceSocketsTests {
  private let scratch: Scratch
  private let fake: FakeMaster

  init() throws {
    scratch = try Scratch()
    fake = try FakeMaster(scratch)
  }

  @Test func aServiceHasOneNameUntilItIsDropped() throws {
    let sockets = ServiceSockets(fake.record)
    let (web, db) = (try service(80), try service(80, of: "db"))
    let first = sockets.reserve(web)
    #expect(sockets.reserve(web) == first)
    #expect(first == .local(path: fake.socketPath(1), to: web))
    #expect(sockets.reserve(db) == .local(path: fake.socketPath(2), to: db))
    #expect(!sockets.has(web))
    try fake.listen(MultiplexRequest.open(first))
    try sockets.hold(web)
    #expect(sockets.has(web) && !sockets.has(db))
    #expect(sockets.drop(web) == first)
    #expect(!sockets.has(web))
    #expect(sockets.drop(web) == nil)
    // A name is never used twice: ssh may still hold the old socket.
    #expect(sockets.reserve(web) == .local(path: fake.socketPath(3), to: web))
  }

  @Test func whatSshHasNotMadeCannotBeHeld() throws {
    let sockets = ServiceSockets(fake.record)
    #expect(throws: SystemError("hold a socket", ENOENT)) { try sockets.hold(try service(80)) }
    _ = sockets.reserve(try service(80))
    #expect(throws: SystemError("open 1.sock", ENOENT)) { try sockets.hold(try service(80)) }
  }

  @Test func aServiceThatIsNotHeldLeadsNowhere() throws {
    let sockets = ServiceSockets(fake.record)
    #expect(try !sockets.leads(to: try service(80)))
    _ = sockets.reserve(try service(80))
    #expect(try !sockets.leads(to: try service(80)))
  }

  @Test func aSocketThatTookThePlaceIsNotConnectedTo() throws {
    let sockets = try fake.sockets(for: [try service(80)])
    _ = unsafe unlink(fake.socketPath(1))
    let thief = try listenUnix(fake.socketPath(1))
    let client = try sockets.client(of: try service(80))
    client.send("secret")
    #expect(
      try eventually {
        try fake.work()
        client.receive()
        return client.text == "secret"
      })
    let stolen = try Socket.accept(from: thief.raw) != nil
    #expect(!stolen)
  }

  @Test func anSshThatIsTooBusyOrGoneIsToldApart() throws {
    let sockets = try fake.sockets(for: [try service(80)], backlog: 0)
    let first = try sockets.client(of: try service(80))
    let busy = #expect(throws: SystemError.self) { try sockets.leads(to: try service(80)) }
    #expect(busy?.code == EAGAIN)
    fake.die()
    #expect(
      eventually {
        do { return try !sockets.leads(to: try service(80)) } catch {
          return (error as? SystemError)?.code == ECONNREFUSED
        }
      })
    withExtendedLifetime(first) {}
  }
}
