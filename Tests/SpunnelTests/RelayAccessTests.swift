// Who may connect to a submit port: clients of other users.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite(.enabled(if: isRoot, "a client of another user needs root"))
struct RelayAccessTests: RelaySuite {
  let rig: RelayRig

  init() throws {
    rig = try RelayRig()
    tunnel.sockets = try master.sockets(for: [try service(8000)])
  }

  private func port(_ relay: Relay) throws -> UInt16 {
    try #require(open(relay).forward.listen.port).number
  }

  @Test func aStrangerIsRefusedAndNamed() throws {
    let relay = try relay()
    let port = try port(relay)
    let helper = try dial(port)
    #expect(try turn { relay.refused == 1 })
    #expect(tunnel.lines == ["refused uid \(stranger) on port \(port)"])
    #expect((relay.accepted, relay.open) == (0, 0))
    #expect(master.channels.isEmpty)
    #expect(try turn { helper.said.hasSuffix("over\n") })
  }

  @Test func aStrangerWhoTriesAgainAndAgainIsNotedOnceForEachPort() throws {
    let relay = try relay()
    let ports = [try port(relay), try port(relay)]
    for count in 1...3 {
      let helper = try dial(ports[0])
      #expect(try turn { relay.refused == count && helper.said.hasSuffix("over\n") })
    }
    let helper = try dial(ports[1])
    #expect(try turn { relay.refused == 4 && helper.said.hasSuffix("over\n") })
    #expect(tunnel.lines == ports.map { "refused uid \(stranger) on port \($0)" })
    #expect(tunnel.changes >= 4)
  }

  @Test func aStrangerAtAUnixSocketIsRefusedAndNamed() throws {
    let relay = try relay()
    try scratch.setMode(0o755, of: ".")
    let path = scratch.path + "/web.sock"
    let listener = try listenUnix(path)
    try scratch.setMode(0o777, of: "web.sock")
    try relay.add(listener.raw, Route(try forward("\(path):8000")))
    let script = """
      import socket, sys
      s = socket.socket(socket.AF_UNIX)
      s.connect(sys.argv[1])
      try: print(s.recv(1) == b"")
      except ConnectionResetError: print(True)
      """
    let helper = try Helper("python3 -c \"$2\" \"$1\"", [path, script], as: stranger)
    #expect(try turn { helper.said == "True\n" })
    #expect((relay.refused, relay.accepted) == (1, 0))
    #expect(tunnel.lines == ["refused uid \(stranger) on \(path)"])
    let owner = try End(try Socket.connect(unix: path))
    owner.send("ping")
    #expect(try turn([owner]) { owner.text == "ping" })
  }

  @Test func accessForTheHostLetsEveryoneIn() throws {
    let relay = try relay(.host)
    let helper = try dial(try port(relay))
    #expect(try turn { helper.said == "ping\nover\n" })
    #expect((relay.accepted, relay.refused) == (1, 0))
  }

  @Test func theOwnerMayConnectAndRootIsAStranger() throws {
    let relay = try relay(owner: stranger)
    let port = try port(relay)
    let (owner, root) = (try dial(port), try End(try connectLoopback(port)))
    root.send("root")
    #expect(try turn([root]) { owner.said == "ping\nover\n" && relay.refused == 1 })
    #expect(relay.accepted == 1)
    #expect(tunnel.lines == ["refused uid 0 on port \(port)"])
  }

  @Test func rootMayConnectWhereTheSiteSaysSo() throws {
    let relay = try relay(.ownerAndRoot, owner: stranger)
    let port = try port(relay)
    let (owner, root) = (try dial(port), try End(try connectLoopback(port)))
    root.send("root")
    #expect(try turn([root]) { owner.said == "ping\nover\n" && root.text == "root" })
    #expect((relay.accepted, relay.refused) == (2, 0))
  }

  @Test func theIdThatStandsForEverybodyIsNobodys() {
    let access = Settings.Access.owner
    #expect(access.admits(1000, to: 1000))
    #expect(!access.admits(65534, to: 65534))
    #expect(!access.admits(0, to: 1000))
  }

  /// A program of another user that says what it sent and got back.
  private func dial(_ port: UInt16) throws -> Helper {
    try Helper(
      "exec 3<>/dev/tcp/127.0.0.1/$1; echo ping >&3; read -r line <&3 && echo $line; echo over",
      [String(port)], as: stranger)
  }
}
