// Forwards as they are made: told to people, written into records, read again.

import SpunnelSystem
import Testing

@testable import SpunnelTunnel

@Suite struct ForwardTests {
  @Test(
    "a forward is described as it may be typed, shown with an arrow, and written in five words",
    arguments: [
      (
        "8001:n2:8000", "8001:n2:8000", "localhost:8001 -> n2:8000",
        "local n2 8001 localhost 8000"
      ),
      ("8001:8000", "8001:n1:8000", "localhost:8001 -> n1:8000", "local n1 8001 localhost 8000"),
      (
        "8001:db.example:5432", "8001:db.example:5432",
        "localhost:8001 -> db.example:5432, through n1", "local n1 8001 db.example 5432"
      ),
      (
        "8001:[fe80::1]:80", "8001:[fe80::1]:80", "localhost:8001 -> [fe80::1]:80, through n1",
        "local n1 8001 fe80::1 80"
      ),
      ("/a:n2:/b", "/a:n2:/b", "/a -> n2:/b", "local n2 /a localhost /b"),
      ("8001:auto", "8001:n1:0", "localhost:8001 -> n1:0", "local n1 8001 localhost 0"),
      ("R:9000:5432", "R:9000:5432", "n1:9000 -> localhost:5432", "remote n1 9000 localhost 5432"),
      ("R:9000:db:53", "R:9000:db:53", "n1:9000 -> db:53", "remote n1 9000 db 53"),
      (
        "R:9000:[fd::1]:53", "R:9000:[fd::1]:53", "n1:9000 -> [fd::1]:53", "remote n1 9000 fd::1 53"
      ),
      ("R:/p:/q", "R:/p:/q", "n1:/p -> /q", "remote n1 /p localhost /q"),
      ("D:1080", "D:1080", "localhost:1080 -> SOCKS, through n1", "dynamic n1 1080 localhost 0"),
      ("D:/s", "D:/s", "/s -> SOCKS, through n1", "dynamic n1 /s localhost 0"),
    ])
  func told(text: String, description: String, arrow: String, words: String) throws {
    let forward = try forward(text, nodes: "n1,n2")
    #expect(forward.description == description)
    #expect(forward.arrow == arrow)
    #expect(forward.words == words)
    #expect(Forward(words: words[...]) == forward)
  }

  @Test(arguments: [
    "", "local", "local n1 8001 localhost", "local n1 8001 localhost 80 ",
    " local n1 8001 localhost 80", "local  n1 8001 localhost 80", "Local n1 8001 localhost 80",
    "local -n1 8001 localhost 80", "local n1 70000 localhost 80", "local n1 +1 localhost 80",
    "local n1 8001 -x 80", "local n1 8001 localhost x", "local n1 8001 localhost 80 x",
    "local n1 tmp/s localhost 80", "local n1 8001 localhost 00", "local n1 8001 [::1] 80",
    "local n1 8001 localhost 80\n",
  ])
  func otherWordsAreNoForward(words: String) {
    #expect(Forward(words: words[...]) == nil)
  }

  @Test func anEndSurvivesItsText() throws {
    let longest = "/" + String(repeating: "x", count: 106)
    for end in [Endpoint.free, .port(try #require(Port(80))), .path("/s"), .path(longest)] {
      #expect(Endpoint(end.description) == end)
    }
    #expect(Endpoint(longest + "x") == nil)
  }

  @Test(
    "a path in a damaged record that would not show as it is, is none",
    arguments: ["/a\u{17}b", "/a\u{1b}[2J", "/a\u{202e}b", "/a b", "/a\u{a0}b"])
  func aPathShowsAsItIs(path: String) {
    #expect(Endpoint(path) == nil)
    #expect(Endpoint("/a\nb") == nil)
    #expect(HostFile("forward remote n1 9000 localhost \(path)\n") == nil)
  }

  @Test func theSubmitEndOfARemoteForwardIsWhereItConnects() throws {
    let local = try forward("8001:8000")
    let remote = try forward("R:9000:5432")
    #expect((local.submit.description, local.exec.description) == ("8001", "8000"))
    #expect((remote.submit.description, remote.exec.description) == ("5432", "9000"))
  }

  @Test(
    arguments: [
      ("8001:80", "8001:n2:81", true), ("8001:80", "D:8001", true), ("/s:80", "/s:81", true),
      ("8001:80", "8002:80", false), ("8001:80", "R:8001:80", false), (":80", ":80", false),
      ("R:9000:80", "R:9000:81", true), ("R:9000:80", "R:9001:80", false),
    ])
  func twoForwardsCollideWhereTheyListen(one: String, other: String, isSo: Bool) throws {
    let (one, other) = (try forward(one, nodes: "n1,n2"), try forward(other, nodes: "n1,n2"))
    #expect((one.place != nil && one.place == other.place) == isSo)
  }

  @Test func onTwoNodesTheSamePortIsNoCollision() throws {
    let (one, other) = (try forward("R:9000", nodes: "n1"), try forward("R:9000", nodes: "n2"))
    #expect(one.place != other.place)
  }
}

@Suite struct AnnouncementTests {
  @Test func whatIsToldLeadsFromTheUsersComputerToTheService() throws {
    let announcement = Announcement(
      try forwards("8001:8000,/tmp/s:8002,R:9000:5432,D:1080,D:/tmp/p", nodes: "n1"))
    #expect(announcement.forwards.first == "localhost:8001 -> n1:8000")
    #expect(announcement.forwards.count == 5)
    #expect(
      announcement.command == "ssh -L 8001:localhost:8001 -L 8002:/tmp/s -L 1080:localhost:1080 "
        + "-L ./p:/tmp/p \(Host.userName)@\(Host.name)")
  }

  @Test(
    arguments: [
      ("/tmp/s:80", "./s:/tmp/s"), ("/tmp/s:/run/t", "./s:/tmp/s"),
      ("/tmp/it's;x:8002", "8002:'/tmp/it'\\''s;x'"), ("/tmp/$HOME:80", "'./$HOME':'/tmp/$HOME'"),
    ])
  func aPathIsCarriedOnAsAShellTakesIt(spec: String, option: String) throws {
    let command = try #require(Announcement(try forwards(spec)).command)
    #expect(command.hasPrefix("ssh -L \(option) "), "\(command)")
  }

  @Test(arguments: [#"EX\user1"#, "user 1", "user1"])
  func theLineIsOneThatAShellTakesAsItIs(user: String) throws {
    let line = try #require(
      Announcement(try forwards("8001:8000"), through: "login.example.org", as: user).command)
    let words = try output(of: "set -- \(line); printf '%s\n' \"$@\"")
    #expect(words == ["ssh", "-L", "8001:localhost:8001", "\(user)@login.example.org"])
  }

  private func output(of command: String) throws -> [String] {
    try Program("/bin/sh", ["-c", command], environment: []).capture(milliseconds: 10_000).output
      .split(separator: "\n").map(String.init)
  }

  @Test func twoSocketsOfOneExecPortDoNotShareAPortThere() throws {
    let announcement = Announcement(try forwards("/tmp/%n:all:8000,8000:80", nodes: "n1,n2"))
    #expect(
      announcement.command == "ssh -L ./0:/tmp/0 -L ./1:/tmp/1 -L 8000:localhost:8000 "
        + "\(Host.userName)@\(Host.name)")
    let sockets = Announcement(try forwards("/tmp/%n:all:8002", nodes: "n1,n2"))
    #expect(sockets.command?.hasPrefix("ssh -L 8002:/tmp/0 -L ./1:/tmp/1 ") == true)
  }

  @Test func withoutASubmitEndThereIsNothingToCarryOn() throws {
    let announcement = Announcement(try forwards("R:9000:5432"))
    #expect(announcement.command == nil)
  }

  @Test(
    arguments: [
      ("8001:8000", "localhost:8001 -> port 8000 of job 7, while it runs"),
      ("/s:/t", "/s -> /t of job 7, while it runs"),
      (":all:80", "a free port of HOST -> port 80 of each node of job 7, while it runs"),
      ("R:9000:5432", "port 9000 of job 7 -> port 5432 of HOST, while it runs"),
      ("D:1080", "localhost:1080 -> SOCKS, through job 7, while it runs"),
      ("8001:db:5432", "localhost:8001 -> port 5432 of db, through job 7, while it runs"),
      ("8001:127.0.0.1:80", "localhost:8001 -> port 80 of job 7, while it runs"),
      ("8001:+1:80", "localhost:8001 -> port 80 of node +1 of job 7, while it runs"),
      ("8001:auto", "localhost:8001 -> a free port of job 7, while it runs"),
      ("R:9000:db:5432", "port 9000 of job 7 -> port 5432 of db, through HOST, while it runs"),
      ("D:", "a free port of HOST -> SOCKS, through job 7, while it runs"),
    ])
  func whatABatchJobWillHaveIsPromised(spec: String, promise: String) throws {
    let request = try #require(try TunnelSpec(spec).forwards.first)
    #expect(request.promise(7) == promise.split(separator: "HOST").joined(separator: Host.name))
  }
}
