// One accepted connection from its client to the service and back, over a fake master.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

private final class Rig {
  let connection: Connection
  let client: End
  private(set) var ended = 0

  init(_ loop: EventLoop, _ wire: Wire = .tcp) throws {
    let pair = try wire.pair()
    client = try End(pair.right)
    let forward = try #require(try TunnelSpec("8001:8000").forwards.first)
    var tell: () -> Void = {}
    let end: (Connection) -> Void = { _ in tell() }
    connection = Connection(loop, pair.left, forward, changed: {}, ended: end)
    tell = { [weak self] in self?.ended += 1 }
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

  private func turn(_ rig: Rig, until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      try master.work()
      rig.client.work()
      return condition()
    }
  }

  @Test func theServiceIsReachedAndAnswers() throws {
    let rig = try Rig(loop)
    #expect(rig.connection.isWaiting && rig.connection.isOpen)
    #expect(rig.connection.connect(controlPath: master.path))
    #expect(!rig.connection.isWaiting && rig.connection.isOpen)
    let bytes = noise(300_000, seed: 1)
    rig.client.send(bytes)
    rig.client.finish()
    #expect(try turn(rig) { rig.client.sawEnd && rig.ended == 1 })
    rig.client.expectReceived(bytes)
    #expect(rig.connection.bytes == (bytes.count, bytes.count))
    #expect(!rig.connection.isOpen)
    #expect(master.sessions.map(\.port) == [8000])
  }

  @Test func aRefusedConnectionIsClosed() throws {
    master.answer = .refuse
    let rig = try Rig(loop)
    #expect(rig.connection.connect(controlPath: master.path))
    #expect(try turn(rig) { rig.client.sawEnd || rig.client.failure != nil })
    #expect(rig.ended == 1)
    #expect(!master.sessions[0].isHeld)
  }

  @Test func withoutAMasterItWaits() throws {
    let rig = try Rig(loop)
    #expect(!rig.connection.connect(controlPath: scratch.path + "/none"))
    #expect(rig.connection.isWaiting)
    #expect(rig.ended == 0)
    rig.client.send("patience")
    #expect(rig.connection.connect(controlPath: master.path))
    #expect(try turn(rig) { rig.client.text == "patience" })
  }

  @Test func whatTheClientSaidLastArrivesThoughItIsGone() throws {
    let rig = try Rig(loop)
    #expect(rig.connection.connect(controlPath: master.path))
    #expect(try turn(rig) { !master.sessions.isEmpty })
    let session = master.sessions[0]
    session.copies = false
    session.output?.close()
    rig.client.send("last words")
    rig.client.finish()
    // Over for the client; ssh has the bytes still to read.
    #expect(try turn(rig) { rig.client.sawEnd && !rig.connection.isOpen })
    try loop.settle(master.work)
    #expect(session.isHeld)
    #expect(rig.ended == 0)
    session.input?.receive()
    #expect(session.input?.text == "last words")
    session.drop()
    #expect(try turn(rig) { rig.ended == 1 })
  }

  @Test func aClientThatGoesBeforeTheAnswerLeavesTheControlConnectionUntilThen() throws {
    master.answer = .none
    let rig = try Rig(loop)
    #expect(rig.connection.connect(controlPath: master.path))
    #expect(try turn(rig) { !master.sessions.isEmpty })
    rig.client.reset()
    #expect(try loop.turn { rig.ended == 1 })
    #expect(master.sessions[0].isHeld)
    master.reply(.open, to: master.sessions[0])
    #expect(try loop.turn { !master.sessions[0].isHeld })
  }

  @Test func aMasterThatGoesEndsTheConnection() throws {
    let rig = try Rig(loop)
    #expect(rig.connection.connect(controlPath: master.path))
    rig.client.send("echo")
    #expect(try turn(rig) { rig.client.text == "echo" })
    master.die()
    #expect(try turn(rig) { rig.ended == 1 })
    #expect(rig.client.sawEnd || rig.client.failure != nil)
  }

  @Test func aCutIsAResetInEveryPhase() throws {
    let waiting = try Rig(loop)
    waiting.connection.cut()
    let pumping = try Rig(loop)
    #expect(pumping.connection.connect(controlPath: master.path))
    pumping.client.send("x")
    #expect(try turn(pumping) { pumping.client.text == "x" })
    pumping.connection.cut()
    for rig in [waiting, pumping] {
      rig.connection.cut()
      #expect(rig.ended == 1)
      #expect(try turn(rig) { rig.client.failure == ECONNRESET })
      #expect(rig.connection.connect(controlPath: master.path))
    }
    #expect(try turn(pumping) { !master.sessions[0].isHeld })
    #expect(master.sessions.count == 1)
  }

  @Test func aClientThatCannotBeWatchedIsGivenUp() throws {
    // epoll(7) takes no regular files: the pump cannot start.
    let file = try FileDescriptor.open("/etc/passwd", O_RDONLY)
    let forward = try #require(try TunnelSpec("8001:8000").forwards.first)
    var ended = 0
    let connection = Connection(loop, file, forward, changed: {}, ended: { _ in ended += 1 })
    #expect(connection.connect(controlPath: master.path))
    #expect(ended == 1)
    #expect(!connection.isOpen)
  }
}
