// One accepted connection from its client to the service and back, over a fake master.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper

private final class Rig {
  let connection: Connection
  let client: End
  var isCut = false
  private(set) var ended = 0
  private(set) var changes = 0

  init(_ loop: EventLoop, _ wire: Wire = .tcp, _ pool: PipePool = PipePool()) throws {
    let pair = try wire.pair()
    client = try End(pair.right)
    var told: (cut: () -> Bool, change: () -> Void, end: () -> Void) = ({ true }, {}, {})
    let route = Route(try forward("8001:8000"))
    connection = Connection(
      loop, pair.left, route, entrance: route, pool: pool, askIfCut: { $1(told.cut()) },
      changed: { _ in told.change() }, ended: { _ in told.end() })
    told = (
      { [weak self] in self?.isCut ?? true }, { [weak self] in self?.changes += 1 },
      { [weak self] in self?.ended += 1 }
    )
  }
}

@Suite struct ConnectionTests {
  private let loop: EventLoop
  private let scratch: Scratch
  private let master: FakeMaster
  private final class Sockets { var held: ServiceSockets? }
  private let sockets = Sockets()

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    master = try FakeMaster(scratch)
  }

  /// Connects it to the service, as the relay does.
  private func serve(_ connection: Connection) throws {
    let sockets = try sockets.held ?? master.sockets(for: [try service(8000)])
    self.sockets.held = sockets
    guard let service = try sockets.connect(try service(8000)) else {
      throw SystemError("connect", ENOENT)
    }
    connection.connect(service)
  }

  private func turn(_ rig: Rig, until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      try master.work()
      rig.client.work()
      return condition()
    }
  }

  @Test(arguments: Wire.allCases)
  func theServiceIsReachedAndAnswers(wire: Wire) throws {
    let rig = try Rig(loop, wire)
    #expect(rig.connection.isWaiting)
    try serve(rig.connection)
    #expect(!rig.connection.isWaiting)
    let bytes = noise(300_000, seed: 1)
    rig.client.send(bytes)
    rig.client.finish()
    #expect(try turn(rig) { rig.client.sawEnd && rig.ended == 1 })
    rig.client.expectReceived(bytes)
    #expect(rig.connection.bytes == (bytes.count, bytes.count))
    #expect(rig.changes > 0)
    #expect(master.channels.map(\.to) == ["localhost:8000"])
  }

  @Test func aServiceThatSaysItsLastFirstStillHears() throws {
    let rig = try Rig(loop)
    try serve(rig.connection)
    #expect(try turn(rig) { !master.channels.isEmpty })
    let service = master.channels[0]
    service.echoes = false
    service.end.send("greeting")
    service.end.finish()
    #expect(try turn(rig) { rig.client.sawEnd })
    #expect(rig.client.text == "greeting")
    rig.client.send("last words")
    rig.client.finish()
    #expect(
      try turn(rig) {
        service.end.receive()
        return service.end.sawEnd && rig.ended == 1
      })
    #expect(service.end.text == "last words")
    #expect(rig.client.failure == nil)
  }

  @Test func aConnectionThatSshCannotOpenIsClosed() throws {
    let rig = try Rig(loop)
    try serve(rig.connection)
    #expect(try turn(rig) { !master.channels.isEmpty })
    master.channels[0].end.close()
    #expect(try turn(rig) { rig.client.sawEnd && rig.ended == 1 })
  }

  @Test func whatWasSaidBeforeThereWasAServiceReachesIt() throws {
    let rig = try Rig(loop)
    rig.client.send("patience")
    try loop.settle { rig.client.work() }
    #expect(rig.connection.isWaiting && rig.connection.end == nil)
    #expect((rig.ended, rig.changes) == (0, 0))
    try serve(rig.connection)
    #expect(!rig.connection.isWaiting && rig.connection.end == nil)
    #expect(try turn(rig) { rig.client.text == "patience" })
  }

  @Test func aSecondServiceIsOneTooMany() throws {
    let rig = try Rig(loop)
    try serve(rig.connection)
    try serve(rig.connection)
    rig.client.send("once")
    #expect(try turn(rig) { rig.client.text == "once" && master.channels.count == 2 })
    #expect(try turn(rig) { master.channels[1].end.sawEnd })
    #expect(!master.channels[0].end.sawEnd)
  }

  @Test func aResetOfTheClientEndsTheService() throws {
    let rig = try Rig(loop)
    try serve(rig.connection)
    #expect(try turn(rig) { !master.channels.isEmpty })
    rig.client.reset()
    #expect(try loop.turn { rig.ended == 1 })
    #expect(
      try loop.turn {
        master.channels[0].end.receive()
        return master.channels[0].end.sawEnd
      })
  }

  @Test func aMasterThatDiesIsAResetForTheClient() throws {
    let rig = try Rig(loop)
    try serve(rig.connection)
    rig.client.send("echo")
    #expect(try turn(rig) { rig.client.text == "echo" })
    rig.isCut = true
    master.die()
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    #expect(rig.client.failure == ECONNRESET)
    #expect(rig.ended == 1)
  }

  @Test func aCutIsAResetInEveryPhase() throws {
    let waiting = try Rig(loop)
    waiting.connection.cut()
    let pumping = try Rig(loop)
    try serve(pumping.connection)
    pumping.client.send("x")
    #expect(try turn(pumping) { pumping.client.text == "x" })
    pumping.connection.cut()
    for rig in [waiting, pumping] {
      rig.connection.cut()
      #expect(rig.ended == 1)
      #expect(!rig.connection.isWaiting)
      #expect(try turn(rig) { rig.client.failure == ECONNRESET })
      try serve(rig.connection)
    }
    // Those who come too late are closed at once.
    #expect(try turn(pumping) { master.channels.count == 3 })
    #expect(try turn(pumping) { master.channels.allSatisfy { $0.end.sawEnd } })
  }

  @Test func aClientThatCannotBeWatchedIsGivenUp() throws {
    // epoll(7) takes no regular files: the pump cannot start.
    let file = try FileDescriptor.open("/etc/passwd", O_RDONLY)
    var ended = 0
    let route = Route(try forward("8001:8000"))
    let connection = Connection(
      loop, file, route, entrance: route, pool: PipePool(), askIfCut: { $1(false) },
      changed: { _ in }, ended: { _ in ended += 1 })
    try serve(connection)
    #expect(ended == 1)
    #expect(!connection.isWaiting)
  }
}
