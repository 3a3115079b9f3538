// What the tasks are told.

import Testing

@testable import Spunnel
@testable import SpunnelTunnel

@Suite struct CommandTunnelTests {
  @Test func theTasksAreToldTheForwards() throws {
    #expect(
      CommandTunnel.told(try forwards("8001:8000,R:9000:53", nodes: "n1,n2"))
        == "8001:n1:8000,R:9000:53")
  }

  @Test func whatNoProgramCouldBeStartedWithIsNotTold() throws {
    let all = try (1000..<7000).map { number in
      try #require(Forward(words: "local node\(number) 4\(number) localhost 8000"[...]))
    }
    #expect(CommandTunnel.told(all) == nil)
    let told = try #require(CommandTunnel.told(Array(all.prefix(5000))))
    #expect(told.utf8.count < 100 << 10)
    #expect(told.hasSuffix(",45999:node5999:8000"))
  }
}
