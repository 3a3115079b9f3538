// One accepted connection from its client to the service and back, over a fake master.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

private let forward = try? TunnelSpec("8001:8000").forwards.first

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
    connection = Connection(
      loop, pair.left, try #require(forward), pool: pool, isCut: { told.cut() },
      changed: { told.change() }, ended: { _ in told.end() })
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

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    master = try FakeMaster(scratch)
  }

  private func sockets(backlog: CInt = 64) throws -> ForwardSockets {
    try master.sockets(for: [try #require(forward)], backlog: backlog)
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
    #expect(rig.connection.connect(try sockets()))
    #expect(!rig.connection.isWaiting)
    let bytes = noise(300_000, seed: 1)
    rig.client.send(bytes)
    rig.client.finish()
    #expect(try turn(rig) { rig.client.sawEnd && rig.ended == 1 })
    rig.client.expectReceived(bytes)
    #expect(rig.connection.bytes == (bytes.count, bytes.count))
    #expect(rig.changes > 0)
    #expect(master.services.map(\.port) == [8000])
  }

  @Test func aServiceThatSaysItsLastFirstStillHears() throws {
    let rig = try Rig(loop)
    #expect(rig.connection.connect(try sockets()))
    #expect(try turn(rig) { !master.services.isEmpty })
    let service = master.services[0]
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
    #expect(rig.connection.connect(try sockets()))
    #expect(try turn(rig) { !master.services.isEmpty })
    master.services[0].end.close()
    #expect(try turn(rig) { rig.client.sawEnd && rig.ended == 1 })
  }

  @Test func withoutAMasterItWaits() throws {
    let rig = try Rig(loop)
    let dead = try sockets()
    master.die()
    #expect(eventually { !rig.connection.connect(dead) })
    #expect(rig.connection.isWaiting)
    #expect(rig.ended == 0)
    rig.client.send("patience")
    let other = try Scratch()
    let next = try FakeMaster(other)
    #expect(rig.connection.connect(try next.sockets(for: [try #require(forward)])))
    #expect(
      try loop.turn {
        try next.work()
        rig.client.work()
        return rig.client.text == "patience"
      })
  }

  @Test func aForwardThatSshDoesNotHaveIsWaitedFor() throws {
    let rig = try Rig(loop)
    #expect(!rig.connection.connect(try ForwardSockets([], in: master.record)))
    #expect(rig.connection.isWaiting)
    #expect(rig.connection.connect(try sockets()))
  }

  @Test func anSshThatIsTooBusyIsWaitedFor() throws {
    let sockets = try sockets(backlog: 0)
    let (first, second) = (try Rig(loop), try Rig(loop))
    #expect(first.connection.connect(sockets))
    #expect(!second.connection.connect(sockets))
    #expect(second.connection.isWaiting)
    second.client.send("my turn")
    #expect(try turn(first) { master.services.count == 1 })
    #expect(second.connection.connect(sockets))
    #expect(try turn(second) { second.client.text == "my turn" })
  }

  @Test func aResetOfTheClientEndsTheService() throws {
    let rig = try Rig(loop)
    #expect(rig.connection.connect(try sockets()))
    #expect(try turn(rig) { !master.services.isEmpty })
    rig.client.reset()
    #expect(try loop.turn { rig.ended == 1 })
    #expect(
      try loop.turn {
        master.services[0].end.receive()
        return master.services[0].end.sawEnd
      })
  }

  @Test func aMasterThatDiesIsAResetForTheClient() throws {
    let rig = try Rig(loop)
    #expect(rig.connection.connect(try sockets()))
    rig.client.send("echo")
    #expect(try turn(rig) { rig.client.text == "echo" })
    rig.isCut = true
    master.die()
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    #expect(rig.client.failure == ECONNRESET)
    #expect(rig.ended == 1)
  }

  @Test func aCutIsAResetInEveryPhase() throws {
    let sockets = try sockets()
    let waiting = try Rig(loop)
    waiting.connection.cut()
    let pumping = try Rig(loop)
    #expect(pumping.connection.connect(sockets))
    pumping.client.send("x")
    #expect(try turn(pumping) { pumping.client.text == "x" })
    pumping.connection.cut()
    for rig in [waiting, pumping] {
      rig.connection.cut()
      #expect(rig.ended == 1)
      #expect(!rig.connection.isWaiting)
      #expect(try turn(rig) { rig.client.failure == ECONNRESET })
      #expect(rig.connection.connect(sockets))
    }
    #expect(try turn(pumping) { master.services[0].end.sawEnd })
    #expect(master.services.count == 1)
  }

  @Test func aClientThatCannotBeWatchedIsGivenUp() throws {
    // epoll(7) takes no regular files: the pump cannot start.
    let file = try FileDescriptor.open("/etc/passwd", O_RDONLY)
    var ended = 0
    let connection = Connection(
      loop, file, try #require(forward), pool: PipePool(), isCut: { false }, changed: {},
      ended: { _ in ended += 1 })
    #expect(connection.connect(try sockets()))
    #expect(ended == 1)
    #expect(!connection.isWaiting)
  }
}
