// What could not be opened, as a record tells it.

import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct FailuresTests {
  private func failures(_ all: [(String, String)]) throws -> Failures {
    var failures = Failures()
    for (spec, reason) in all { failures.add(try TunnelSpec(spec), reason) }
    return failures
  }

  @Test func eachReasonIsALineWithWhatHasIt() throws {
    let failures = try failures([
      ("8001:8000", "a"), ("R:9300:80", "b"), (":8000", "a"), ("8002:n7:80", "'8002:n7:80' is c"),
    ])
    #expect(
      failures.lines == ["8001:8000,0:8000: a", "R:9300:80: b", "'8002:n7:80' is c"])
    #expect(
      failures.specs.map(\.description) == ["8001:8000", "0:8000", "R:9300:80", "8002:n7:80"])
  }

  @Test func whatFailsAgainHasItsNewReason() throws {
    #expect(try failures([("8001:8000", "a"), ("8001:8000", "b")]).lines == ["8001:8000: b"])
  }

  @Test func whatIsWantedAnewIsForgottenByWhereItListens() throws {
    var failures = try failures([("8001:8000,R:8001:80,:1", "a"), (":2", "b")])
    #expect(failures.remove(try TunnelSpec("8001:9").forwards[0]))
    #expect(!failures.remove(try TunnelSpec("8001:9").forwards[0]))
    #expect(!failures.remove(try TunnelSpec(":9").forwards[0]))
    #expect(failures.remove(try TunnelSpec(":2").forwards[0]))
    #expect(failures.lines == ["R:8001:80,0:1: a"])
    for forward in try TunnelSpec("R:8001:1,:1").forwards { failures.remove(forward) }
    #expect(failures.isEmpty)
  }

  @Test func thereIsAnEndOfThem() throws {
    let many = try failures((1...100).map { ("\(8000 + $0):80", "reason \($0)") })
    #expect(many.lines.count == 16)
  }
}
