// What srun and the keeper tell each other.

import Testing

@testable import Spunnel

@Suite struct KeeperRequestTests {
  private let step = StepName(job: 17, step: 0xffff_fffa)

  private func request(_ arguments: [String]) throws -> KeeperRequest {
    try KeeperRequest(
      step: step, node: try #require(NodeName("n1")), spec: try TunnelSpec("8001:8000,8889:8888"),
      arguments: arguments)
  }

  @Test(arguments: [[], ["quiet"], ["timeout=3", "ssh_args=-p|22 23", "state_dir=/var/t mp"]])
  func aRequestSurvivesItsWords(arguments: [String]) throws {
    let request = try request(arguments)
    #expect(KeeperRequest(words: request.words) == request)
  }

  @Test func theWordsAreStepNodeSpecAndArguments() throws {
    let words = try request(["timeout=3", "quiet"]).words
    #expect(words == ["17.4294967290", "n1", "8001:8000,8889:8888", "timeout=3", "quiet"])
  }

  @Test func argumentsThatAreWrongAreRefusedBeforeAnythingStarts() {
    #expect(throws: SettingsError.unknown("nonsense")) { try request(["nonsense"]) }
  }

  @Test(arguments: [
    [], ["1.0"], ["1.0", "n1"], ["1", "n1", "8001:80"], ["1.0", "-n1", "8001:80"],
    ["1.0", "n1", "80:80"], ["1.0", "n1", ""], ["1.0", "n1", "8001:80", "nonsense"],
    ["--help"],
  ])
  func otherWordsAreNoRequest(words: [String]) {
    #expect(KeeperRequest(words: words) == nil)
  }

  @Test(arguments: [
    KeeperReport.ready, .failed("n1: no route: ask"), .failed(""), .failed("ready"),
  ])
  func aReportSurvivesItsLine(report: KeeperReport) {
    #expect(report.line.last == "\n")
    #expect(report.line.count { $0.isNewline } == 1)
    #expect(KeeperReport(line: String(report.line.dropLast())) == report)
  }

  @Test(arguments: [
    "", "ready ", " ready", "Ready", "failed", "fail x", "ready\n", "readyfailed x",
  ])
  func anotherLineIsNoReport(line: String) {
    #expect(KeeperReport(line: line) == nil)
  }
}
