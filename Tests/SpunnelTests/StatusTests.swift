// The two small files of a record, whole and damaged.

import Testing

@testable import SpunnelTunnel

@Suite struct HostFileTests {
  @Test func aHostFileSurvivesItsText() throws {
    let names = "gpu-01.example,n2"
    let file = HostFile(
      nodes: try nodes(names),
      forwards: try forwards("8001:8000,/tmp/s:n2:/run/d,R:9000:5432,D:1080", nodes: names),
      waiting: [try TunnelSpec(":8888,8002:+1:auto"), try TunnelSpec("R:9001")],
      failed: [try TunnelSpec("8003:n7:80")])
    #expect(
      file.text == """
        node gpu-01.example
        node n2
        forward local gpu-01.example 8001 localhost 8000
        forward local n2 /tmp/s localhost /run/d
        forward remote gpu-01.example 9000 localhost 5432
        forward dynamic gpu-01.example 1080 localhost 0
        waiting 0:8888,8002:+1:auto
        waiting R:9001:9001
        failed 8003:n7:80

        """)
    #expect(HostFile(file.text) == file)
  }

  @Test func aTunnelThatWaitsHasNoNodes() throws {
    let file = HostFile(nodes: [], forwards: [], waiting: [try TunnelSpec("8001:80")])
    #expect(file.text == "waiting 8001:80\n")
    #expect(HostFile(file.text) == file)
  }

  @Test func aTunnelThatFailedHoldsNoPort() throws {
    let file = HostFile(nodes: [], forwards: [], failed: [try TunnelSpec("8001:80")])
    #expect(HostFile(file.text) == file)
    #expect(!file.holds(try #require(Port(8001 as UInt16))))
  }

  @Test func unknownLinesArePassedOver() throws {
    let file = try #require(
      HostFile("color blue\nnode n1\nalone\n\nforward local n1 8001 localhost 80\n"))
    #expect(file.nodes == (try nodes()))
    #expect(file.forwards == (try forwards("8001:80")))
    #expect(file.waiting == [])
  }

  @Test(arguments: [
    "", "\n", "color blue\n", "node \n", "node -n1\n", "node n1 n2\n", "node n1\r\n", "noden1\n",
    "node n1\nforward 8001:80\n", "node n1\nforward \n", "node n1\nforward x\n",
    "forward local n1 8001 localhost\n", "forward local n1 8001 localhost 80 \n",
    "forward local n1 8001 localhost 80\r\n", "forward local n1 8001 localhost 80\nnode -\n",
    "forward sideways n1 8001 localhost 80\n", "forward local n1 80 01 localhost 80\n",
    "waiting \n", "waiting 80:80\n", "waiting 8001:80 \n", "node n1\nwaiting 8001:\n",
    "failed \n", "failed 80:80\n",
  ])
  func aDamagedHostFileIsNone(text: String) {
    #expect(HostFile(text) == nil)
  }

  @Test(
    arguments: [
      ("node n1\n", 100_000), ("forward local n1 8001 localhost 80\n", 10_000),
      ("waiting R:1024:1\n", 10_000), ("failed R:1024:1\n", 10_000),
      ("waiting R:1024:1\nfailed R:1024:1\n", 5000),
      ("waiting R:1024:1,R:1025:1\n", 5000),
    ])
  func aHostFileWithMoreThanAnybodyHasIsNone(lines: String, most: Int) {
    let full = String(repeating: lines, count: most)
    #expect(HostFile(full) != nil)
    #expect(HostFile(full + lines) == nil)
  }

  @Test func aTunnelHoldsItsSubmitPorts() throws {
    let file = HostFile(
      nodes: try nodes(), forwards: try forwards("8001:8000,R:9000:5432,D:1080"),
      waiting: [try TunnelSpec("8005:8006,R:9005:9006,:8007")])
    let held = try [8001, 8000, 9000, 5432, 1080, 8005, 8006, 9005, 9006, 8007].filter {
      file.holds(try #require(Port($0 as UInt16)))
    }
    #expect(held == [8001, 1080, 8005])
  }
}

@Suite struct StatusTests {
  private var full: Status {
    var status = Status()
    status.state = .reconnecting
    status.since = 1_735_689_600_000
    status.started = 1_735_689_500_000
    (status.connections, status.accepted, status.refused) = (1, 2, 3)
    (status.sent, status.received) = (1 << 40, .max)
    (status.keeper, status.ssh) = (4711, 4712)
    status.far = [.listening, .refused, .unknown]
    status.spoken = [.http, nil, .vnc]
    status.transport = .srun
    status.detour = "the node cannot connect back"
    status.reasons = ["8001:n7:80: 'n7' is no node", ""]
    return status
  }

  @Test func aStatusSurvivesItsText() {
    #expect(Status(full.text) == full)
    #expect(Status(Status().text) == Status())
  }

  @Test func everyFieldIsInTheText() {
    let keys = full.text.split(separator: "\n").map { $0.prefix { $0 != " " } }
    #expect(Set(keys).count == Mirror(reflecting: full).children.count)
  }

  @Test(arguments: Status.State.allCases)
  func everyStateIsReadButStale(state: Status.State) {
    var status = Status()
    status.state = state
    #expect(Status(status.text) == (state == .stale ? nil : status))
  }

  @Test func whatIsMissingIsZeroAndWhatIsUnknownPassedOver() {
    var expected = Status()
    expected.state = .up
    expected.sent = 5
    #expect(Status("mood good\nstate up\nsent 5\nlonely\n") == expected)
  }

  @Test func aFarEndThatALaterVersionTellsIsUnknown() {
    let status = Status("state up\nfar listening\nfar asleep\nfar \n")
    #expect(status?.far == [.listening, .unknown, .unknown])
  }

  @Test(arguments: [
    "", "sent 5\n", "state\n", "state \n", "state sideways\n", "state up down\n",
    "state up\nsent\u{20}\n",
    "state up\nsent -1\n", "state up\nsent 1x\n", "state up\nsent 99999999999999999999\n",
    "state up\r\nsent 1\r\n", "state up\nkeeper 0x10\n",
  ])
  func aDamagedStatusIsNone(text: String) {
    #expect(Status(text) == nil)
  }

  @Test(arguments: [("far refused\n", 10_000), ("reason none\n", 100)])
  func aStatusWithMoreThanAnybodyHasIsNone(line: String, most: Int) {
    let full = "state up\n" + String(repeating: line, count: most)
    #expect(Status(full) != nil)
    #expect(Status(full + line) == nil)
  }

  @Test func aTextThatIsCutAnywhereIsReadOrRefusedButNeverCrashes() {
    let bytes = Array(full.text.utf8)
    for length in 0...bytes.count {
      let text = String(decoding: bytes.prefix(length), as: UTF8.self)
      if let status = Status(text) { #expect(status.state == .reconnecting) }
    }
  }
}
