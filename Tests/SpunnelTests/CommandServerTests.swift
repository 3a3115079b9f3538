// The command socket of a keeper, with real clients.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct CommandServerTests {
  private final class Keeper: CommandObserver {
    var commands: [KeeperCommand] = []
    var clients: [CommandClient] = []
    var ended = 0
    /// Said at once to whoever commands.
    var answer: KeeperReport?
    func commanded(_ command: KeeperCommand, by client: CommandClient) {
      commands.append(command)
      clients.append(client)
      if let answer { client.say(answer) }
    }
    func commandEnded(_ client: CommandClient) { ended += 1 }
  }

  private let loop: EventLoop
  private let scratch: Scratch
  private let record: Record
  private let keeper = Keeper()

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    record = try Record.create(StepName(job: 17, step: 0), in: scratch.path, user: getuid())
  }

  private func serve(owner: uid_t = getuid()) throws -> CommandServer {
    try CommandServer(loop, path: record.commandPath, mayCommand: { $0 == owner }, observer: keeper)
  }

  private func client() throws -> End { try End(try Socket.connect(unix: record.commandPath)) }

  private func turn(_ clients: [End] = [], until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      for client in clients { client.work() }
      return condition()
    }
  }

  @Test func aCommandIsHeardAndAnsweredAsOftenAsThereIsNews() throws {
    let server = try serve()
    let client = try client()
    client.send("hold 8001:8000\n")
    #expect(try turn([client]) { keeper.commands.count == 1 })
    #expect(keeper.commands == [.open(try TunnelSpec("8001:8000"), isHeld: true)])
    for report in [KeeperReport.bound(try forwards("8001:8000")), .done] {
      keeper.clients[0].say(report)
    }
    #expect(try turn([client]) { client.text == "bound local n1 8001 localhost 8000\ndone\n" })
    #expect(!server.isIdle && keeper.ended == 0)
    client.close()
    #expect(try turn { server.isIdle })
    #expect(keeper.ended == 1)
    keeper.clients[0].say(.done)
    #expect(keeper.ended == 1)
  }

  @Test func whatASocketHasNoRoomForWaitsAndCutsNobody() throws {
    let server = try serve()
    let client = try client()
    client.send("probe\n")
    #expect(try turn([client]) { !keeper.commands.isEmpty })
    let long = KeeperReport.failed(String(repeating: "x", count: 400_000))
    keeper.clients[0].say(long)
    keeper.clients[0].say(.done)
    #expect(keeper.ended == 0)
    #expect(try turn([client]) { client.text.hasSuffix("done\n") })
    #expect(client.text == long.line + KeeperReport.done.line && !server.isIdle)
    // However long it does not listen.
    for _ in 0..<10 where keeper.ended == 0 { keeper.clients[0].say(long) }
    #expect(keeper.ended == 1 && server.isIdle)
  }

  @Test func aCommandMayComeInPieces() throws {
    let server = try serve()
    let client = try client()
    for byte in "probe\n".utf8 {
      #expect(keeper.commands == [])
      client.send([byte])
      try loop.settle { client.work() }
    }
    #expect(keeper.commands == [.probe])
    #expect(!server.isIdle)
  }

  @Test func aConnectionIsForOneCommand() throws {
    let server = try serve()
    let client = try client()
    client.send("probe\nclose 8001:8000\n")
    #expect(try turn([client]) { !keeper.commands.isEmpty })
    client.send("probe\n")
    try loop.settle { client.work() }
    #expect(keeper.commands == [.probe])
    #expect(!client.sawEnd && !server.isIdle)
  }

  @Test(arguments: ["help", "open 80:80", "", "open 8001:80\u{1b}[2J"])
  func whatIsNoCommandIsQuotedAndEnded(line: String) throws {
    let server = try serve()
    let client = try client()
    client.send(line + "\n")
    #expect(try turn([client]) { client.sawEnd })
    #expect(client.text.hasPrefix("failed '\(printable(line))' is no command"))
    #expect(client.text.count { $0.isNewline } == 1)
    #expect(keeper.commands == [] && server.isIdle)
  }

  @Test func aCommandWithoutAnEndIsBounded() throws {
    let server = try serve()
    let client = try client()
    client.send([UInt8](repeating: 0x78, count: 1_100_000))
    #expect(try turn([client]) { server.isIdle && keeper.ended == 1 && client.text != "" })
    #expect(client.text == "failed a command has 1048576 bytes at most: ask for less at once\n")
    #expect(keeper.commands == [])
  }

  @Test func severalAreServedAtOnceAndToldTheEnd() throws {
    let server = try serve()
    let clients = try (0..<3).map { _ in try client() }
    for client in clients { client.send("probe\n") }
    #expect(try turn(clients) { keeper.commands.count == 3 })
    let early = try client()
    early.send("probe\n")
    server.end(.over("the job is over"))
    #expect(try turn(clients) { clients.allSatisfy { $0.text == "over the job is over\n" } })
    // Nobody else is heard, and whoever has come already is not kept waiting.
    #expect(try turn([early]) { early.sawEnd || early.failure != nil })
    #expect(throws: SystemError.self) { try client() }
    #expect(keeper.commands.count == 3)
  }

  @Test func aCrowdIsBounded() throws {
    let server = try serve()
    var clients: [End] = []
    for _ in 0..<70 {
      clients.append(try client())
      try loop.settle()
    }
    #expect(try turn(clients) { clients.count(where: \.sawEnd) == 6 })
    for client in clients.suffix(6) { #expect(client.text.hasPrefix("failed 64 commands wait")) }
    #expect(!server.isIdle)
    for client in clients { client.close() }
    #expect(try turn { server.isIdle })
    let next = try client()
    next.send("probe\n")
    #expect(try turn([next]) { keeper.commands == [.probe] })
  }

  @Test(.enabled(if: isRoot, "playing another user needs root"))
  func onlyTheOwnerIsHeard() throws {
    let server = try serve()
    try scratch.setMode(0o755, of: ".")
    for name in ["", "/17.0"] { try scratch.setMode(0o755, of: "spunnel-\(getuid())\(name)") }
    try scratch.setMode(0o777, of: "spunnel-\(getuid())/17.0/command")
    let script = """
      import socket, sys
      s = socket.socket(socket.AF_UNIX)
      s.connect(sys.argv[1])
      try: s.sendall(b"probe\\n"); print(s.recv(1) == b"")
      except OSError: print(True)
      """
    let helper = try Helper("python3 -c \"$2\" \"$1\"", [record.commandPath, script], as: stranger)
    #expect(try turn { helper.said == "True\n" })
    #expect(keeper.commands == [] && server.isIdle)
  }

  @Test func theSocketIsTheOwnersAlone() throws {
    let server = try serve()
    var found = stat()
    #expect(unsafe lstat(record.commandPath, &found) == 0)
    #expect(found.st_mode & 0o777 == 0o600)
    withExtendedLifetime(server) {}
  }
}
