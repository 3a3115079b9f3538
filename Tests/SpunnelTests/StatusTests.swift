// The two small files of a record, whole and damaged.

import Testing

@testable import Spunnel

@Suite struct HostFileTests {
  @Test func aHostFileSurvivesItsText() throws {
    let file = HostFile(
      node: try #require(NodeName("gpu-01.example")),
      forwards: try TunnelSpec("8001:8000,8889:8888").forwards)
    #expect(file.text == "node gpu-01.example\nforward 8001:8000\nforward 8889:8888\n")
    #expect(HostFile(file.text) == file)
  }

  @Test func unknownLinesArePassedOver() throws {
    let file = try #require(HostFile("color blue\nnode n1\nalone\n\nforward 8001:80\n"))
    #expect(file.node == NodeName("n1"))
    #expect(file.forwards == (try TunnelSpec("8001:80").forwards))
  }

  @Test(arguments: [
    "", "\n", "node n1\n", "forward 8001:80\n", "node \nforward 8001:80\n",
    "node -n1\nforward 8001:80\n", "node n1\nforward 8001\n", "node n1\nforward \n",
    "node n1\nforward 8001:80\nforward x\n", "node n1\r\nforward 8001:80\r\n",
    "node n1 n2\nforward 8001:80\n", "noden1\nforward 8001:80\n", "node n1\nforward 80:",
  ])
  func aDamagedHostFileIsNone(text: String) {
    #expect(HostFile(text) == nil)
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
    status.transport = .srun
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

  @Test(arguments: [
    "", "sent 5\n", "state\n", "state \n", "state sideways\n", "state up down\n",
    "state up\nsent\u{20}\n",
    "state up\nsent -1\n", "state up\nsent 1x\n", "state up\nsent 99999999999999999999\n",
    "state up\r\nsent 1\r\n", "state up\nkeeper 0x10\n",
  ])
  func aDamagedStatusIsNone(text: String) {
    #expect(Status(text) == nil)
  }

  @Test func aTextThatIsCutAnywhereIsReadOrRefusedButNeverCrashes() {
    let bytes = Array(full.text.utf8)
    for length in 0...bytes.count {
      let text = String(decoding: bytes.prefix(length), as: UTF8.self)
      if let status = Status(text) { #expect(status.state == .reconnecting) }
    }
  }
}
