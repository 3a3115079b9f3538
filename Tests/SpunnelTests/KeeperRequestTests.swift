// What a keeper is started with.

import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct KeeperRequestTests {
  private let step = StepName(job: 17, step: 0xffff_fffa)

  private func request(
    _ life: KeeperRequest.Life = .lifeline, nodes names: String? = "n1",
    spec: String? = "8001:8000,8889:8888", _ arguments: [String] = []
  ) throws -> KeeperRequest {
    try KeeperRequest(
      life, step: step, nodes: try names.map { try nodes($0) } ?? [],
      spec: try spec.map { try TunnelSpec($0) }, arguments: arguments)
  }

  @Test(arguments: [[], ["quiet"], ["timeout=3", "ssh_args=-p|22 23", "state_dir=/var/t mp"]])
  func aRequestSurvivesItsWords(arguments: [String]) throws {
    for request in [
      try request(.lifeline, arguments), try request(.patientLifeline, nodes: "n1,n2", arguments),
      try request(.job, nodes: nil, arguments), try request(.job, spec: nil, arguments),
      try request(.job, nodes: nil, spec: nil, arguments),
    ] {
      #expect(KeeperRequest(words: request.words) == request)
    }
  }

  @Test func theWordsAreStepLifeNodesSpecAndArguments() throws {
    #expect(
      try request(.lifeline, ["timeout=3", "quiet"]).words
        == ["17.4294967290", "lifeline", "n1", "8001:8000,8889:8888", "timeout=3", "quiet"])
    #expect(
      try request(.patientLifeline, nodes: "n1,n2", spec: ":all:80").words
        == ["17.4294967290", "lifeline-patient", "n1,n2", "0:all:80"])
    #expect(
      try request(.job, nodes: nil, spec: nil).words == ["17.4294967290", "job", "-", "-"])
  }

  @Test func argumentsThatAreWrongAreRefusedBeforeAnythingStarts() {
    #expect(throws: SettingsError.unknown("nonsense")) { try request(.lifeline, ["nonsense"]) }
  }

  @Test(arguments: [
    [], ["lifeline"], ["1.0", "lifeline", "n1"], ["1.0", "n1", "8001:80"],
    ["1.0", "death", "n1", "8001:80"], ["1", "lifeline", "n1", "8001:80"],
    ["1.0", "lifeline", "-n1", "8001:80"], ["1.0", "lifeline", "n1,", "8001:80"],
    ["1.0", "lifeline", "", "8001:80"], ["1.0", "lifeline", "n1", "80:80"],
    ["1.0", "lifeline", "n1", ""], ["1.0", "lifeline", "n1", "8001:80", "nonsense"],
    ["1.0", "lifeline", "-", "8001:80"], ["1.0", "lifeline", "n1", "-"],
    ["1.0", "lifeline-patient", "-", "8001:80"], ["1.0", "job", "-", "x"],
    ["1.0", "job", "-n", "-"], ["--help"],
  ])
  func otherWordsAreNoRequest(words: [String]) {
    #expect(KeeperRequest(words: words) == nil)
  }
}
