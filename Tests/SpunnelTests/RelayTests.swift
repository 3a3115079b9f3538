// The submit side of a tunnel: real ports, real clients, a fake master.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

private final class Notes: RelayObserver {
  var lines: [String] = []
  var changes = 0
  func relayNotes(_ line: String) { lines.append(line) }
  func relayChanged() { changes += 1 }
  var isCut = false
  func relayAsksIfCut() -> Bool { isCut }
}

@Suite struct RelayTests {
  private let loop: EventLoop
  private let scratch: Scratch
  private let master: FakeMaster
  private let notes = Notes()

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    master = try FakeMaster(scratch)
  }

  private func relay(
    _ access: Settings.Access = .owner, owner: uid_t = getuid(), patience: Int = 60_000
  ) throws -> Relay {
    try Relay(loop, access: access, owner: owner, patience: patience, observer: notes)
  }

  /// Opens a port of the kernel's choice.
  private func open(_ relay: Relay, to exec: UInt16 = 8000) throws -> Forward {
    let socket = try Socket.listen(.v4, port: 0)
    let submit = try #require(Port(try Socket.localAddress(of: socket.raw).port))
    let forward = Forward(submit: submit, exec: try #require(Port(exec)))
    try relay.add(Listener(socket, forward))
    return forward
  }

  private func client(_ forward: Forward) throws -> End {
    try End(try connectLoopback(forward.submit.number))
  }

  private func turn(_ clients: [End] = [], until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      try master.work()
      for client in clients { client.work() }
      return condition()
    }
  }

  @Test func aConnectionIsServedAndCounted() throws {
    let relay = try relay()
    let forward = try open(relay)
    relay.connect(through: try master.sockets(for: [forward]))
    let client = try client(forward)
    client.send("hello")
    #expect(try turn([client]) { client.text == "hello" })
    #expect((relay.open, relay.accepted, relay.refused) == (1, 1, 0))
    client.finish()
    #expect(try turn([client]) { client.sawEnd && relay.open == 0 })
    #expect(relay.bytes == (5, 5))
    #expect(notes.changes > 0)
    #expect(notes.lines == [])
  }

  @Test func everyPortLeadsToItsOwnPlace() throws {
    let relay = try relay()
    let forwards = [try open(relay, to: 8000), try open(relay, to: 8888)]
    relay.connect(through: try master.sockets(for: forwards))
    let clients = [try client(forwards[1]), try client(forwards[0])]
    for (index, client) in clients.enumerated() {
      client.send("\(index)")
      #expect(try turn([client]) { client.text == "\(index)" })
    }
    #expect(Set(master.services.map(\.port)) == [8000, 8888])
    for service in master.services {
      #expect(service.end.text == (service.port == 8888 ? "0" : "1"))
    }
  }

  @Test func manyAtOnceAreServed() throws {
    let relay = try relay()
    let forward = try open(relay)
    relay.connect(through: try master.sockets(for: [forward]))
    let clients = try (0..<50).map { _ in try client(forward) }
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
    let forward = try open(relay)
    let clients = try (0..<3).map { _ in try client(forward) }
    for client in clients { client.send("early") }
    #expect(try turn(clients) { relay.accepted == 3 })
    #expect(relay.open == 3)
    #expect(master.services.isEmpty)
    relay.connect(through: try master.sockets(for: [forward]))
    #expect(try turn(clients) { clients.allSatisfy { $0.text == "early" } })
  }

  @Test func anSshThatIsTooBusyIsAskedAgain() throws {
    let relay = try relay()
    let forward = try open(relay)
    relay.connect(through: try master.sockets(for: [forward], backlog: 0))
    let clients = try (0..<4).map { _ in try client(forward) }
    for client in clients { client.send("early") }
    // Nobody accepts: one is in ssh's queue, the others wait here.
    #expect(
      try loop.turn {
        for client in clients { client.work() }
        return relay.accepted == 4
      })
    #expect(relay.open == 4)
    #expect(try turn(clients) { clients.allSatisfy { $0.text == "early" } })
    #expect(master.services.count == 4)
  }

  @Test func aForwardThatComesLaterIsFoundByTryingAgain() throws {
    let relay = try relay()
    let forward = try open(relay)
    let gone = try master.sockets(for: [forward])
    master.die()
    relay.connect(through: gone)
    let client = try client(forward)
    client.send("early")
    #expect(try turn([client]) { relay.accepted == 1 })
    #expect(relay.open == 1)
    let other = try Scratch()
    let next = try FakeMaster(other)
    relay.connect(through: try next.sockets(for: [forward]))
    #expect(
      try loop.turn {
        try next.work()
        client.work()
        return client.text == "early"
      })
  }

  @Test func waitingIsBounded() throws {
    let relay = try relay(patience: 20)
    let forward = try open(relay)
    let client = try client(forward)
    #expect(try turn([client]) { client.failure == ECONNRESET })
    #expect(relay.open == 0)
    #expect(relay.accepted == 1)
  }

  @Test func aLostTunnelCutsWhatWasOpenAndNewConnectionsWait() throws {
    let relay = try relay()
    let forward = try open(relay)
    relay.connect(through: try master.sockets(for: [forward]))
    let old = try client(forward)
    old.send("old")
    #expect(try turn([old]) { old.text == "old" })
    relay.disconnect()
    #expect(try turn([old]) { old.failure == ECONNRESET })
    #expect(relay.open == 0)
    let new = try client(forward)
    new.send("new")
    #expect(try turn([new]) { relay.accepted == 2 })
    #expect(master.services.count == 1)
    relay.disconnect()
    #expect(relay.open == 1)
    relay.connect(through: try master.sockets(for: [forward]))
    #expect(try turn([new]) { new.text == "new" })
    #expect(relay.bytes.sent == 6)
  }

  @Test(arguments: [true, false])
  func theEndOfAServiceIsOneOnlyIfSshGoesOn(isCut: Bool) throws {
    let relay = try relay()
    let forward = try open(relay)
    relay.connect(through: try master.sockets(for: [forward]))
    let client = try client(forward)
    client.send("x")
    #expect(try turn([client]) { client.text == "x" })
    notes.isCut = isCut
    master.services[0].end.close()
    #expect(try turn([client]) { client.sawEnd || client.failure != nil })
    #expect(client.failure == (isCut ? ECONNRESET : nil))
    #expect(try turn { relay.open == 0 })
    notes.isCut = false
    let second = try self.client(forward)
    second.send("again")
    #expect(try turn([second]) { second.text == "again" })
  }

  @Test func closingGivesThePortsUpAndCutsEverything() throws {
    let relay = try relay()
    let forward = try open(relay)
    relay.connect(through: try master.sockets(for: [forward]))
    let client = try client(forward)
    client.send("x")
    #expect(try turn([client]) { client.text == "x" })
    relay.close()
    #expect(try turn([client]) { client.failure == ECONNRESET })
    #expect(eventually { isFree(forward.submit.number) })
  }

  @Test(.enabled(if: isRoot, "a client of another user needs root"))
  func aStrangerIsRefusedAndNamed() throws {
    let relay = try relay()
    let forward = try open(relay)
    relay.connect(through: try master.sockets(for: [forward]))
    let helper = try dial(forward)
    #expect(try turn { relay.refused == 1 })
    #expect(notes.lines == ["refused uid \(stranger) on port \(forward.submit)"])
    #expect((relay.accepted, relay.open) == (0, 0))
    #expect(master.services.isEmpty)
    #expect(try turn { helper.said.hasSuffix("over\n") })
  }

  @Test(.enabled(if: isRoot, "a client of another user needs root"))
  func aStrangerWhoTriesAgainAndAgainIsNotedOnceForEachPort() throws {
    let relay = try relay()
    let forwards = [try open(relay), try open(relay)]
    for count in 1...3 {
      let helper = try dial(forwards[0])
      #expect(try turn { relay.refused == count && helper.said.hasSuffix("over\n") })
    }
    let helper = try dial(forwards[1])
    #expect(try turn { relay.refused == 4 && helper.said.hasSuffix("over\n") })
    #expect(notes.lines == forwards.map { "refused uid \(stranger) on port \($0.submit)" })
    #expect(notes.changes >= 4)
  }

  @Test(.enabled(if: isRoot, "a client of another user needs root"))
  func accessForTheHostLetsEveryoneIn() throws {
    let relay = try relay(.host)
    let forward = try open(relay)
    relay.connect(through: try master.sockets(for: [forward]))
    let helper = try dial(forward)
    #expect(try turn { helper.said == "ping\nover\n" })
    #expect((relay.accepted, relay.refused) == (1, 0))
  }

  @Test(.enabled(if: isRoot, "a tunnel of another user needs root"))
  func theOwnerAndRootMayConnect() throws {
    let relay = try relay(owner: stranger)
    let forward = try open(relay)
    relay.connect(through: try master.sockets(for: [forward]))
    let (owner, root) = (try dial(forward), try client(forward))
    root.send("root")
    #expect(try turn([root]) { owner.said == "ping\nover\n" && root.text == "root" })
    #expect((relay.accepted, relay.refused) == (2, 0))
  }

  /// A program of another user that says what it sent and got back.
  private func dial(_ forward: Forward) throws -> Helper {
    try Helper(
      "exec 3<>/dev/tcp/127.0.0.1/$1; echo ping >&3; read -r line <&3 && echo $line; echo over",
      [forward.submit.description], as: stranger)
  }
}
