// What spunnelctl prints: tables, JSON, the words for far ends, a terminal's frames.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelCLI
@testable import spunnelctl
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct TableTests {
  @Test func columnsAreAsWideAsTheirWidestCellAndLinesEndWithoutSpaces() {
    var table = Table(["A", "LONG", "B"])
    table.add(["xyz", "", "1"])
    table.add(["1", "2", ""])
    #expect(table.text == "A    LONG  B\nxyz        1\n1    2")
  }

  @Test func cellsAreSafeToShowAndShort() {
    var table = Table(["A"])
    table.add(["\u{1B}[31m\n"])
    table.add([String(repeating: "x", count: 100_000)])
    #expect(!table.text.contains("\u{1B}"))
    #expect(table.text.utf8.count < 300)
  }
}

@Suite struct JSONTests {
  @Test func aValueIsWrittenAsOnePart() {
    let value = JSON([
      "a": .number(1), "none": nil, "b": .array([.string("x"), .bool(true)]), "c": .array([]),
    ])
    #expect(value.text(isIndented: false) == #"{"a":1,"b":["x",true],"c":[]}"#)
    #expect(
      value.text(isIndented: true)
        == "{\n  \"a\": 1,\n  \"b\": [\n    \"x\",\n    true\n  ],\n  \"c\": []\n}")
  }

  @Test(arguments: [
    (#"a"b\c"#, #""a\"b\\c""#), ("\n\t\r\u{1B}", #""\n\t\u000d\u001b""#), ("ü€", "\"ü€\""),
    ("\u{7F}\u{9B}\u{202E}", #""\u007f\u009b\u202e""#), ("\u{E0001}", #""\udb40\udc01""#),
  ])
  func textIsEscapedSoThatATerminalMayShowIt(text: String, written: String) {
    #expect(JSON.string(text).text(isIndented: false) == written)
  }
}

@Suite struct ScreenTests {
  @Test func aFrameBeginsAtTheTopAndClearsWhatIsLeft() {
    #expect(
      Screen.frame("one\ntwo", columns: 80, rows: 24)
        == "\u{1B}[Hone\u{1B}[K\r\ntwo\u{1B}[K\u{1B}[J")
  }

  @Test func aLongLineIsFolded() {
    let frame = Screen.frame("123456\nb", columns: 4, rows: 3)
    #expect(frame == "\u{1B}[H1234\u{1B}[K\r\n56\u{1B}[K\r\nb\u{1B}[K\u{1B}[J")
  }

  @Test func whatDoesNotFitIsCounted() {
    let frame = Screen.frame("a\nb\nc\nd", columns: 9, rows: 3)
    #expect(frame == "\u{1B}[Ha\u{1B}[K\r\nb\u{1B}[K\r\n… 2 more \u{1B}[K\u{1B}[J")
  }
}

@Suite struct StatusTextTests {
  /// A tunnel to n1 that is up.
  private func view(
    _ forwards: [String], _ far: [FarEnd], state: Status.State? = .up, waiting: [String] = []
  ) throws -> RecordView {
    var status = Status()
    (status.state, status.far, status.sent) = (state ?? .starting, far, 1536)
    let host = HostFile(
      nodes: [try #require(NodeName("n1"))],
      forwards: try forwards.map { try #require(Forward(words: Substring($0))) },
      waiting: try waiting.map { try TunnelSpec($0) })
    return RecordView(
      step: StepName(job: 12, step: 0), user: getuid(), host: host, isHeld: true, status: status,
      state: state)
  }

  private let first = "local n1 8001 localhost 8000"
  private let second = "local n1 8002 localhost 8888"

  @Test func oneWordServesAllFarEndsThatAreAlike() throws {
    #expect(try view([first, second], [.listening, .listening]).service == "listening")
    #expect(try view([first], [.refused]).service == "nothing listens")
    #expect(try view([first, second], []).service == "not seen yet")
  }

  @Test func farEndsThatAreNotWellAreNamed() throws {
    #expect(
      try view([first, second], [.listening, .refused]).service == "nothing listens: 8888")
    #expect(
      try view([first, second, "local n1 8003 db 5432"], [.unknown, .refused, .listening]).service
        == "nothing listens: 8888; not seen yet: 8000")
    #expect(
      try view([first, "local n2 8002 localhost 8000"], [.listening, .refused]).service
        == "nothing listens: n2:8000")
  }

  @Test func nothingIsKnownOfFarEndsWhenThereAreNoneOrTheTunnelIsNotUp() throws {
    #expect(try view(["dynamic n1 1080 localhost 0"], [.listening]).service == "-")
    #expect(try view([first], [.listening], state: .reconnecting).service == "-")
    #expect(try view([], [], state: .waiting, waiting: ["8001:8000"]).service == "-")
  }

  @Test func forwardsAreShownAsOneWouldTypeThem() throws {
    let one = try view([first, "remote n1 9000 localhost 9001", "dynamic n1 1080 localhost 0"], [])
    #expect(one.forwardsCell == "8001:8000,R:9000:9001,D:1080")
    #expect(one.nodeCell == "n1")
    let two = try view([first, "local n2 8002 localhost 8000"], [])
    #expect(two.forwardsCell == "8001:n1:8000,8002:n2:8000")
    #expect(two.nodeCell == "n1,n2")
  }

  @Test func aTunnelThatWaitsShowsWithWhat() throws {
    var status = Status()
    status.state = .waiting
    let host = HostFile(nodes: [], forwards: [], waiting: [try TunnelSpec("8001:8000,D:1080")])
    let view = RecordView(
      step: .wholeJob(12), user: getuid(), host: host, isHeld: true, status: status,
      state: .waiting)
    #expect(view.forwardsCell == "8001:8000,D:1080")
    #expect(view.nodeCell == "-")
    let json = StatusReport([view], user: getuid()).object.text(isIndented: false)
    #expect(json.contains(#""waiting":["8001:8000","D:1080"]"#))
    #expect(json.contains(#""state":"waiting""#))
  }

  @Test func aTunnelThatFailedShowsWhatItWasToBeAndWhy() throws {
    var status = Status()
    status.state = .failed
    status.reasons = ["8001:80: a", "R:9000:53: b"]
    let host = HostFile(
      nodes: try nodes(), forwards: [],
      failed: [try TunnelSpec("8001:80"), try TunnelSpec("R:9000:53")])
    let view = RecordView(
      step: .wholeJob(12), user: getuid(), host: host, isHeld: true, status: status,
      state: .failed)
    #expect(view.forwardsCell == "8001:80,R:9000:53")
    #expect(view.service == "-")
    let detail = DetailReport([(view, [])], user: getuid())
    #expect(detail.text.contains("\n  failed     8001:80: a\n             R:9000:53: b\n"))
    let json = StatusReport([view], user: getuid()).object.text(isIndented: false)
    #expect(json.contains(#""failed":["8001:80","R:9000:53"]"#))
    #expect(json.contains(#""state":"failed","reason":"8001:80: a; R:9000:53: b""#))
    // Of one that is up it is told apart from what is there.
    let mixed = RecordView(
      step: .wholeJob(12), user: getuid(),
      host: HostFile(nodes: try nodes(), forwards: try forwards("8002:80"), failed: host.failed),
      isHeld: true, status: status, state: .up)
    #expect(mixed.forwardsCell == "8002:80")
  }

  @Test func aLineHasTheDocumentedColumns() throws {
    let report = StatusReport([try view([first], [.listening])], user: getuid())
    let lines = report.text.split(separator: "\n")
    #expect(
      lines[0].split(separator: " ") == [
        "JOB", "STEP", "NODE", "FORWARDS", "STATE", "SINCE", "OPEN", "SENT", "RECEIVED", "SERVICE",
      ])
    #expect(
      lines[1].split(separator: " ")
        == ["12", "0", "n1", "8001:8000", "up", "?", "0", "1.5K", "0", "listening"])
    let everybody = StatusReport([try view([first], [])], user: nil).text
    #expect(everybody.split(separator: " ").prefix(3) == ["JOB", "STEP", "USER"])
  }

  @Test func aForwardIsToldToProgramsByItsParts() throws {
    let forward = try #require(Forward(words: "local n1 /tmp/s localhost 8000"))
    #expect(
      forward.json(.refused).text(isIndented: false)
        == #"{"kind":"local","node":"n1","submitPath":"/tmp/s","exec":8000,"far":"refused"}"#)
  }

  @Test func addressesAreForTheProgramThatTakesThem() throws {
    func address(_ words: Substring, _ spoken: SpokenProtocol? = nil) -> String? {
      Forward(words: words)?.address(spoken)
    }
    #expect(address("local n1 8001 localhost 8000") == "localhost:8001")
    #expect(address("local n1 8001 localhost 8000", .http) == "http://localhost:8001/")
    #expect(address("local n1 8001 localhost 8000", .vnc) == "vnc://localhost:8001")
    #expect(address("local n1 /tmp/s localhost 8000", .http) == "unix:/tmp/s")
    #expect(address("dynamic n1 1080 localhost 0") == "socks5h://localhost:1080")
    #expect(address("local n1 /tmp/s localhost 8000") == "unix:/tmp/s")
    #expect(address("remote n1 9000 localhost 9001") == nil)
  }

  @Test func tunnelsOfOneJobShareTheLineForOnesOwnComputer() throws {
    func tunnel(_ number: UInt32, _ words: Substring) throws -> AddressReport.Entry {
      AddressReport.Entry(
        step: StepName(job: 12, step: number), forwards: [try #require(Forward(words: words))])
    }
    let report = AddressReport([
      try tunnel(0, "local n1 8001 localhost 8000"), try tunnel(1, "local n1 8002 localhost 8888"),
    ])
    let lines = report.text.split(separator: "\n")
    #expect(lines.prefix(2) == ["localhost:8001", "localhost:8002"] && lines.count == 3)
    #expect(lines.last?.hasPrefix("ssh -L 8001:localhost:8001 -L 8002:localhost:8002 ") == true)
  }

  @Test func theWayToOnesOwnComputerTakesPathsAsWell() throws {
    let forwards = [
      "local n1 8001 localhost 8000", "local n1 /tmp/a.sock localhost 8888",
      "local n1 /tmp/b.sock localhost 80", "local n1 /tmp/it's localhost /run/x",
    ]
    .compactMap { Forward(words: Substring($0)) }
    let command = try #require(Announcement(forwards).command)
    #expect(
      command.hasPrefix(
        "ssh -L 8001:localhost:8001 -L 8888:/tmp/a.sock -L ./b.sock:/tmp/b.sock "
          + #"-L './it'\''s':'/tmp/it'\''s' "#))
  }
}

@Suite struct DamagedRecordTests {
  private let scratch: Scratch
  private var root: String { "spunnel-\(getuid())" }

  init() throws {
    scratch = try Scratch()
    try scratch.makeDirectory(root)
    try scratch.makeDirectory("\(root)/7.0")
  }

  private func views() throws -> [RecordView] {
    try RecordView.all(in: scratch.path, user: getuid())
  }

  @Test func aFIFOIsNotWaitedFor() throws {
    for name in ["host", "status", "log"] {
      try check("mkfifo") { unsafe mkfifo("\(scratch.path)/\(root)/7.0/\(name)", 0o600) }
    }
    let view = try #require(try views().first)
    #expect(view.host == nil)
    #expect(LogLine.last(5, of: view.step, in: scratch.path, user: getuid()) == [])
  }

  @Test func whatIsNoDirectoryIsShownAndHidesNoOthers() throws {
    try scratch.write("", to: "\(root)/6.0")
    try scratch.makeLink("\(root)/8.0", to: "/etc")
    #expect(try views().map(\.step.job) == [6, 7, 8])
    #expect(try views().map(\.state) == [nil, .stale, nil])
    #expect(try views().map(\.isHeld) == [false, false, false])
  }

  @Test func filesThatHaveOtherNamesAsWellAreNotRead() throws {
    let texts = ["host": "node n1\n", "status": "state up\n", "log": "a line\n"]
    for (name, text) in texts { try scratch.write(text, to: "\(root)/7.0/\(name)") }
    let step = StepName(job: 7, step: 0)
    #expect(try views().first?.host != nil)
    for name in texts.keys {
      try check("link") {
        unsafe link("\(scratch.path)/\(root)/7.0/\(name)", "\(scratch.path)/\(name)")
      }
    }
    let view = try #require(try views().first)
    #expect(view.host == nil)
    #expect(view.state == .stale)
    #expect(LogLine.last(5, of: step, in: scratch.path, user: getuid()) == [])
  }

  @Test func aDamagedStatusOfALiveTunnelIsNotTakenForAStart() throws {
    try scratch.write("state sideways\n", to: "\(root)/7.0/status")
    let held = try Directory.open("\(scratch.path)/\(root)/7.0")
    #expect(try held.lock(waiting: false))
    #expect(try views().map(\.state) == [nil])
    #expect(try views().map(\.isHeld) == [true])
  }

  @Test func theEndOfALongLogIsFoundWithItsTimes() throws {
    let line = "2026-11-21T09:50:05.123Z up\n"
    let text = String(repeating: line, count: 2000) + "no time here\n"
    try scratch.write(text, to: "\(root)/7.0/log")
    let step = StepName(job: 7, step: 0)
    let lines = LogLine.last(2, of: step, in: scratch.path, user: getuid())
    #expect(lines.map(\.text) == ["up", "no time here"])
    #expect(lines.map { $0.time.map { timestamp($0) } } == ["2026-11-21T09:50:05.123Z", nil])
  }

  @Test func aShortLogIsContinuedFromTheOlderOne() throws {
    try scratch.write("old 1\nold 2\n", to: "\(root)/7.0/log.old")
    try scratch.write("new\n", to: "\(root)/7.0/log")
    let step = StepName(job: 7, step: 0)
    let lines = LogLine.last(2, of: step, in: scratch.path, user: getuid())
    #expect(lines.map(\.text) == ["old 2", "new"])
  }

  @Test(arguments: [
    "", "2026-11-21", "2026-13-21T09:50:05.123Z", "2026-11-21T09:50:05.123X",
    "99999999999999999999999Z", "2026-11-21 09:50:05.123Z",
  ])
  func whatIsNoTimestampIsNone(text: String) { #expect(milliseconds(timestamp: text) == nil) }

  @Test(.enabled(if: isRoot)) func allUsersAreFoundAndDistrustedOnesAreNamed() throws {
    try scratch.makeDirectory("spunnel-\(stranger)")
    try scratch.makeDirectory("spunnel-\(stranger)/3.0")
    try scratch.setOwner(stranger, of: "spunnel-\(stranger)")
    try scratch.makeDirectory("spunnel-1234")
    try scratch.makeLink("spunnel-1235", to: "/etc")
    try scratch.write("", to: "spunnel-01236")
    let found = try AllRecords.find(in: scratch.path)
    #expect(found.views.map(\.step.job) == [3, 7])
    #expect(found.views.map(\.user) == [stranger, 0])
    #expect(found.problems.count == 2)
  }

  private func giveAway(_ name: String) throws { try scratch.setOwner(stranger, of: name) }

  @Test(.enabled(if: isRoot)) func anotherUsersManyRecordsHideNobodys() throws {
    let other = "spunnel-\(stranger)"
    try scratch.makeDirectory(other)
    for step in 0..<4100 { try scratch.makeDirectory("\(other)/6.\(step)") }
    try giveAway(other)
    let found = try AllRecords.find(in: scratch.path)
    #expect(found.views.filter { $0.user == stranger }.count == 4096)
    #expect(found.views.last?.user == getuid())
    let what = "4096 records: the others are not shown"
    #expect(found.problems == [.tooMuch(path: "\(scratch.path)/\(other)", what: what)])
    // Whoever means one finds it.
    let last = try AllRecords.find(in: scratch.path) { $0.step == 4099 }
    #expect(last.views.map(\.step.step) == [4099])
    #expect(last.problems == [])
  }

  @Test(.enabled(if: isRoot)) func anotherUsersLargeRecordsAreReadUpToABound() throws {
    let other = "spunnel-\(stranger)"
    try scratch.makeDirectory(other)
    let lines = String(repeating: "node a-name-of-some-length\n", count: 38_000)
    for step in 10..<22 {
      try scratch.makeDirectory("\(other)/6.\(step)")
      try scratch.write(lines, to: "\(other)/6.\(step)/host")
    }
    try giveAway(other)
    try scratch.write("node n1\n", to: "\(root)/7.0/host")
    let found = try AllRecords.find(in: scratch.path)
    #expect(found.views.map { $0.host != nil } == (0..<13).map { $0 < 9 || $0 == 12 })
    let what = "8 MB of records: the others are not read"
    #expect(found.problems == [.tooMuch(path: "\(scratch.path)/\(other)", what: what)])
  }

  @Test(.enabled(if: isRoot)) func manyDirectoriesOfOtherNamesAreCounted() throws {
    for user in 1001...1100 { try scratch.makeDirectory("spunnel-\(user)") }
    let found = try AllRecords.find(in: scratch.path)
    #expect(found.views.map(\.step.job) == [7])
    #expect(found.problems.count == 51)
    #expect(found.problems.last == .moreUntrusted(50, base: scratch.path))
  }
}
