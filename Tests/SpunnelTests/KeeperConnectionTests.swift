// spunnelctl's end of the command socket, with a real server at the other.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct KeeperConnectionTests {
  private final class Keeper: CommandObserver {
    var clients: [CommandClient] = []
    var commands: [KeeperCommand] = []
    func commanded(_ command: KeeperCommand, by client: CommandClient) {
      commands.append(command)
      clients.append(client)
    }
    func commandEnded(_ client: CommandClient) {}
  }

  private let loop: EventLoop
  private let scratch: Scratch
  private let step = StepName(job: 17, step: 0)
  private let keeper = Keeper()

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
  }

  private func record() throws -> Record {
    try Record.create(step, in: scratch.path, user: getuid())
  }

  private func ask(_ command: KeeperCommand) throws -> KeeperConnection? {
    try KeeperConnection.ask(command, of: step, in: scratch.path, user: getuid())
  }

  @Test func whatIsAskedIsAnsweredLineByLine() throws {
    let record = try record()
    let server = try CommandServer(
      loop, path: record.commandPath, mayCommand: { $0 == getuid() }, observer: keeper)
    let command = KeeperCommand.open(try TunnelSpec(":all:80"), isHeld: true)
    guard var connection = try ask(command) else { throw SystemError("ask", ENOENT) }
    #expect(try loop.turn { keeper.commands == [command] })
    let reports = [
      KeeperReport.bound(try forwards("8001:80")), .ready(try forwards("8001:80")), .over("x y"),
    ]
    for report in reports { keeper.clients[0].say(report) }
    for report in reports { #expect(connection.next() == report) }
    #expect(connection.next(milliseconds: 20) == nil)
    #expect(!server.isIdle)
  }

  @Test func theEndOfTheKeeperIsNoAnswer() throws {
    let record = try record()
    let server = try listenUnix(record.commandPath)
    guard var connection = try ask(.probe) else { throw SystemError("ask", ENOENT) }
    let line = try #require(try acceptAndRead(server.raw))
    #expect(line == "probe\n")
    #expect(connection.next() == nil)
  }

  /// Takes a connection, reads what was said, and closes it.
  private func acceptAndRead(_ listener: CInt) throws -> String? {
    guard let accepted = try Socket.accept(from: listener) else { return nil }
    return try accepted.descriptor.read(atMost: 64).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func withoutATunnelThereIsNobodyToAsk() throws {
    func isNobody() throws -> Bool {
      let connection = try ask(.probe)
      return connection == nil
    }
    #expect(try isNobody())
    let record = try record()
    // One that does not listen yet.
    #expect(try isNobody())
    do { _ = FileDescriptorBox(try listenUnix(record.commandPath)) }
    // One that listens no more.
    #expect(try eventually(isNobody))
    record.remove()
    #expect(try isNobody())
  }

  @Test func aStaleTunnelIsNobody() throws {
    let server: FileDescriptorBox
    do {
      let record = try record()
      server = FileDescriptorBox(try listenUnix(record.commandPath))
    }
    #expect(
      try eventually {
        let connection = try ask(.probe)
        return connection == nil
      })
    withExtendedLifetime(server) {}
  }
}
