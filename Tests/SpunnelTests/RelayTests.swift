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

  /// Opens a port of the kernel's choice. - Returns: its number
  private func open(_ relay: Relay, to exec: UInt16 = 8000) throws -> UInt16 {
    let socket = try Socket.listen(.v4, port: 0)
    let number = try Socket.localAddress(of: socket.raw).port
    let submit = try #require(Port(number))
    let forward = Forward(submit: submit, exec: try #require(Port(exec)))
    try relay.add(Listener(socket, forward))
    return number
  }

  private func client(_ port: UInt16) throws -> End { try End(try connectLoopback(port)) }

  private func turn(_ clients: [End] = [], until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      try master.work()
      for client in clients { client.work() }
      return condition()
    }
  }

  @Test func aConnectionIsServedAndCounted() throws {
    let relay = try relay()
    let port = try open(relay)
    relay.connect(through: master.path)
    let client = try client(port)
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
    let ports = [try open(relay, to: 8000), try open(relay, to: 8888)]
    relay.connect(through: master.path)
    let clients = [try client(ports[1]), try client(ports[0])]
    for (index, client) in clients.enumerated() {
      client.send("\(index)")
      #expect(try turn([client]) { client.text == "\(index)" })
    }
    #expect(Set(master.sessions.map(\.port)) == [8000, 8888])
    for session in master.sessions {
      #expect(session.input?.text == (session.port == 8888 ? "0" : "1"))
    }
  }

  @Test func manyAtOnceAreServed() throws {
    let relay = try relay()
    let port = try open(relay)
    relay.connect(through: master.path)
    let clients = try (0..<50).map { _ in try client(port) }
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
    let port = try open(relay)
    let clients = try (0..<3).map { _ in try client(port) }
    for client in clients { client.send("early") }
    #expect(try turn(clients) { relay.accepted == 3 })
    #expect(relay.open == 3)
    #expect(master.sessions.isEmpty)
    relay.connect(through: master.path)
    #expect(try turn(clients) { clients.allSatisfy { $0.text == "early" } })
  }

  @Test func aMasterThatComesLaterIsFoundByTryingAgain() throws {
    let relay = try relay()
    let port = try open(relay)
    let late = try Scratch()
    relay.connect(through: late.path + "/control")
    let client = try client(port)
    client.send("early")
    #expect(try turn([client]) { relay.accepted == 1 })
    let other = try FakeMaster(late)
    #expect(
      try loop.turn {
        try other.work()
        client.work()
        return client.text == "early"
      })
  }

  @Test func waitingIsBounded() throws {
    let relay = try relay(patience: 20)
    let port = try open(relay)
    let client = try client(port)
    #expect(try turn([client]) { client.failure == ECONNRESET })
    #expect(relay.open == 0)
    #expect(relay.accepted == 1)
  }

  @Test func aLostTunnelCutsWhatWasOpenAndNewConnectionsWait() throws {
    let relay = try relay()
    let port = try open(relay)
    relay.connect(through: master.path)
    let old = try client(port)
    old.send("old")
    #expect(try turn([old]) { old.text == "old" })
    relay.disconnect()
    #expect(try turn([old]) { old.failure == ECONNRESET })
    #expect(relay.open == 0)
    let new = try client(port)
    new.send("new")
    #expect(try turn([new]) { relay.accepted == 2 })
    #expect(master.sessions.count == 1)
    relay.disconnect()
    #expect(relay.open == 1)
    relay.connect(through: master.path)
    #expect(try turn([new]) { new.text == "new" })
    #expect(relay.bytes.sent == 6)
  }

  @Test func aRefusedServiceClosesTheConnectionAndNothingElse() throws {
    let relay = try relay()
    let port = try open(relay)
    relay.connect(through: master.path)
    master.answer = .refuse
    let client = try client(port)
    #expect(try turn([client]) { client.sawEnd || client.failure != nil })
    #expect(try turn { relay.open == 0 })
    master.answer = .open
    let second = try self.client(port)
    second.send("again")
    #expect(try turn([second]) { second.text == "again" })
  }

  @Test func closingGivesThePortsUpAndCutsEverything() throws {
    let relay = try relay()
    let port = try open(relay)
    relay.connect(through: master.path)
    let client = try client(port)
    client.send("x")
    #expect(try turn([client]) { client.text == "x" })
    relay.close()
    #expect(try turn([client]) { client.failure == ECONNRESET })
    _ = try Socket.listen(.v4, port: port)
  }

  @Test(.enabled(if: isRoot, "a client of another user needs root"))
  func aStrangerIsRefusedAndNamed() throws {
    let relay = try relay()
    let port = try open(relay)
    relay.connect(through: master.path)
    let helper = try dial(port)
    #expect(try turn { relay.refused == 1 })
    #expect(notes.lines == ["refused uid \(stranger) on port \(port)"])
    #expect((relay.accepted, relay.open) == (0, 0))
    #expect(master.sessions.isEmpty)
    #expect(try turn { helper.said.hasSuffix("over\n") })
  }

  @Test(.enabled(if: isRoot, "a client of another user needs root"))
  func accessForTheHostLetsEveryoneIn() throws {
    let relay = try relay(.host)
    let port = try open(relay)
    relay.connect(through: master.path)
    let helper = try dial(port)
    #expect(try turn { helper.said == "ping\nover\n" })
    #expect((relay.accepted, relay.refused) == (1, 0))
  }

  @Test(.enabled(if: isRoot, "a tunnel of another user needs root"))
  func theOwnerAndRootMayConnect() throws {
    let relay = try relay(owner: stranger)
    let port = try open(relay)
    relay.connect(through: master.path)
    let (owner, root) = (try dial(port), try client(port))
    root.send("root")
    #expect(try turn([root]) { owner.said == "ping\nover\n" && root.text == "root" })
    #expect((relay.accepted, relay.refused) == (2, 0))
  }

  /// A program of another user that says what it sent and got back.
  private func dial(_ port: UInt16) throws -> Helper {
    try Helper(
      "exec 3<>/dev/tcp/127.0.0.1/$1; echo ping >&3; read -r line <&3 && echo $line; echo over",
      [String(port)], as: stranger)
  }
}
