// What a spec means once the nodes of the step are known.

import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct PlanTests {
  private func plan(
    _ spec: String, nodes names: String = "n1,n2,n3", user: String = "alice", anywhere: Bool = false
  ) throws -> [[Forward]] {
    let facts = StepFacts(
      step: StepName(job: 17, step: 0xffff_fffb), nodes: try nodes(names), user: user)
    return try TunnelSpec(spec).plan(facts, anywhere: anywhere)
  }

  @Test(
    arguments: [
      ("8001:8000", ["local n1 8001 localhost 8000"]),
      ("8001:localhost:8000", ["local n1 8001 localhost 8000"]),
      ("8001:n1:8000", ["local n1 8001 localhost 8000"]),
      ("8001:n3:8000", ["local n3 8001 localhost 8000"]),
      ("8001:+0:8000", ["local n1 8001 localhost 8000"]),
      (":+2:auto", ["local n3 0 localhost 0"]),
      ("8001:+1:/run/s", ["local n2 8001 localhost /run/s"]),
      (
        ":all:80",
        ["local n1 0 localhost 80", "local n2 0 localhost 80", "local n3 0 localhost 80"]
      ),
      (
        "/tmp/%n:all:/run/%n",
        [
          "local n1 /tmp/0 localhost /run/0", "local n2 /tmp/1 localhost /run/1",
          "local n3 /tmp/2 localhost /run/2",
        ]
      ),
      (
        "/%j-%s-%u-%n-%%:+1:/%%j%u%u",
        ["local n2 /17-batch-alice-1-% localhost /%jalicealice"]
      ),
      ("R:9000:5432", ["remote n1 9000 localhost 5432"]),
      ("R:/%j:/%u", ["remote n1 /17 localhost /alice"]),
      ("D:1080", ["dynamic n1 1080 localhost 0"]), ("D:", ["dynamic n1 0 localhost 0"]),
    ])
  func aForwardLeadsToItsNode(spec: String, words: [String]) throws {
    #expect(try plan(spec).map { $0.map(\.words) } == [words])
  }

  @Test func everyForwardOfASpecHasItsOwnList() throws {
    let planned = try plan("8001:80,:all:81,R:9000:1", nodes: "n1,n2")
    #expect(planned.map(\.count) == [1, 2, 1])
  }

  @Test(
    arguments: [
      ("8001:+3:80", "+3"), ("8001:db:80", "db"), ("8001:n11:80", "n11"),
      ("8001:[fd::1]:80", "fd::1"),
      ("R:9000:db:80", "db"), ("R:9000:n1:80", "n1"), ("8001:80,8002:n4:80", "n4"),
    ])
  func anotherHostIsRefusedAndTheNodesNamed(spec: String, quoted: String) throws {
    let forward = String(try #require(spec.split(separator: ",").last))
    let error = SpecError.noNode(
      text: quoted, forward: forward, step: "step 17.batch", nodes: "n1, n2, n3")
    #expect(throws: error) { try plan(spec) }
    #expect(error.description.hasPrefix("'\(quoted)' in '\(forward)' is no node of step 17.batch"))
    #expect(error.description.contains("targets=any"))
  }

  @Test(
    arguments: [
      ("8001:db:80", "local n1 8001 db 80"), ("8001:[fd::1]:/s", "local n1 8001 fd::1 /s"),
      ("8001:n2:80", "local n2 8001 localhost 80"), ("R:9000:db:80", "remote n1 9000 db 80"),
      ("R:9000:n2:80", "remote n1 9000 n2 80"),
    ])
  func aSiteMayAllowAnyHost(spec: String, words: String) throws {
    #expect(try plan(spec, anywhere: true).joined().map(\.words) == [words])
  }

  @Test func aPlaceBehindTheLastNodeIsNoneEvenThen() {
    #expect(throws: SpecError.self) { try plan("8001:+3:80", anywhere: true) }
  }

  @Test(arguments: [(8, "n8"), (9, "…")])
  func ofManyNodesTheFirstAreNamed(count: Int, last: String) throws {
    let names = (1...count).map { "n\($0)" }
    let error = #expect(throws: SpecError.self) {
      try plan("8001:db:80", nodes: names.joined(separator: ","))
    }
    let shown = names.prefix(8).joined(separator: ", ")
    #expect(error?.description.contains(shown) == true)
    #expect(error?.description.contains(", \(last): name") == true)
  }

  @Test(
    arguments: [
      ("/tmp/%j:80,/tmp/17:81", SpecError.submitEndTwice(end: "/tmp/17")),
      ("/tmp/%n:all:80,/tmp/1:81", .submitEndTwice(end: "/tmp/1")),
      ("/tmp/%%n:all:80", .submitEndTwice(end: "/tmp/%n")),
      ("R:/%j:80,R:/17:81", .execEndTwice(end: "/17")),
    ])
  func pathsThatTurnOutTheSameAreRefused(spec: String, error: SpecError) {
    #expect(throws: error) { try plan(spec) }
  }

  @Test func thePathOfEachSideIsItsOwn() throws {
    #expect(try plan("/%j:80,R:/17:81,:80,:80").count == 4)
  }

  @Test func aPathThatBecomesTooLongIsRefused() throws {
    let path = "/" + String(repeating: "x", count: 104) + "%u"
    #expect(try plan("\(path):80", user: "al").joined().map(\.listen.path?.utf8.count) == [107])
    let error = SpecError.noPath(
      text: path, forward: "\(path):80", why: "it is longer than 107 bytes")
    #expect(throws: error) { try plan("\(path):80", user: "bob") }
  }

  @Test(
    arguments: [
      ("al ice", "al ice"), ("a\tb", "a?b"), ("a\n1", "a?1"), ("a\u{1b}[31m", "a?[31m"),
      ("a\u{202e}b", "a?b"), ("a,b", "a,b"), ("a:b", "a:b"),
    ])
  func aLoginNameThatIsNoPartOfAPathIsRefused(user: String, shown: String) throws {
    for spec in ["/tmp/%u.sock:80", "8001:/tmp/%u.sock", "R:/tmp/%u:80", "R:9000:/tmp/%u"] {
      let error = #expect(throws: SpecError.self) { try plan(spec, user: user) }
      let why = "in '\(spec)' is no socket's path: %u is '\(shown)', which has"
      #expect(error?.description.contains(why) == true)
    }
    // Where it is not named it is in nobody's way.
    #expect(try plan("/tmp/%j.sock:80", user: user).count == 1)
  }

  @Test(arguments: ["EXAMPLE\\user.9@example.org", "$(id)", "jörg", "-o", "a%jb"])
  func anOddLoginNameIsPartOfAPathAsItIs(user: String) throws {
    let listen = try plan("/tmp/%u.sock:80", user: user).joined().map(\.listen)
    #expect(listen == [.path("/tmp/\(user).sock")])
    #expect(try #require(listen.first).path.flatMap(Endpoint.init) == listen.first)
  }

  @Test func chosenSubmitPortsAreKept() throws {
    let spec = try TunnelSpec(":8000,8001:80,:all:81,D:,R:9000,:+1:auto,/s:80")
    var planned = try plan(spec.description)
    var next: UInt16 = 4001
    for list in planned.indices {
      for place in planned[list].indices where planned[list][place].listen == .free {
        planned[list][place].listen = .port(try #require(Port(next)))
        next += 1
      }
    }
    #expect(
      spec.pinned(to: planned).description
        == "4001:8000,8001:80,0:all:81,D:4005,R:9000:9000,4006:+1:auto,/s:80")
  }

  @Test func aPathIsKnownBeforeTheNodesUnlessItNamesOne() throws {
    let spec = try TunnelSpec("/t/a:1,/t/%j.%s:2,/t/%n:3,/t/%%n:4,R:/t/r:5,8001:80,D:/t/d")
    #expect(try spec.paths(known: nil) == ["/t/a", "/t/%n", "/t/d"])
    #expect(
      try spec.paths(known: StepName(job: 17, step: 3)) == ["/t/a", "/t/17.3", "/t/%n", "/t/d"])
  }

  @Test(
    arguments: [
      ("8001", "R:8001:1,8002:80,D:1080,/t/%j:1"), ("R:8001", "8001:80,8002:80,D:1080,/t/%j:1"),
      ("D:8001", "R:8001:1,8002:80,D:1080,/t/%j:1"), ("1080", "8001:80,R:8001:1,8002:80,/t/%j:1"),
      ("/t/%j:9", "8001:80,R:8001:1,8002:80,D:1080"),
      ("/t/17:9", "8001:80,R:8001:1,8002:80,D:1080"),
      ("8005", nil),
    ] as [(String, String?)])
  func aSubmitEndNamesAForwardAsTypedAndAsItCameOut(named: String, rest: String?) throws {
    let spec = try TunnelSpec("8001:80,R:8001:1,8002:80,D:1080,/t/%j:1")
    let facts = StepFacts(
      step: StepName(job: 17, step: 0), nodes: [try #require(NodeName("n1"))], user: "user1")
    let grant = Grant(spec, patience: nil) { _ in }
    grant.routes = try spec.plan(facts, anywhere: false).joined().map { Route($0) }
    let request = try #require(try TunnelSpec(named).forwards.first)
    let match = grant.match(request, facts: facts)
    #expect(match?.rest.description == rest)
    #expect(match?.routes.count == (rest == nil ? nil : 1))
  }
}
