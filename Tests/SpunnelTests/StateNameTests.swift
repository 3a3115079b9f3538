// Names of directories of records.

import Testing

@testable import SpunnelTunnel

@Suite struct StateNameTests {
  @Test(arguments: [("spunnel-0", 0, true), ("spunnel-70001.abcd0189", 70001, false)])
  func namesAreRead(text: String, user: UInt32, isFirst: Bool) throws {
    let name = try #require(StateName(text))
    #expect(name.user == user)
    #expect(name.isFirst == isFirst)
    #expect(name.text == text)
  }

  @Test(arguments: [
    "", "spunnel-", "spunnel-x", "spunnel-01", "spunnel-4294967296", "spunnel-1.",
    "spunnel-1.abcd018", "spunnel-1.abcd01890", "spunnel-1.abcd018/", "spunnel-1.ABCD0189",
    "spunnel-clusters-1", "x-1",
  ])
  func otherNamesAreNot(text: String) { #expect(StateName(text) == nil) }

  @Test func anotherNameIsOneAndNeverTheSame() throws {
    let names = (0..<100).map { _ in StateName.another(of: 7) }
    #expect(Set(names).count == 100)
    #expect(try names.allSatisfy { try #require(StateName($0)).user == 7 })
  }
}
