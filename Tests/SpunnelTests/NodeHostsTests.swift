// Which names and addresses mean a node, and what an answer says of its service.

import SpunnelSlurm
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct NodeHostsTests {
  private let known = KnownHosts(
    name: "login.cluster.example",
    hosts: """
      # node\taddresses
      127.0.0.1 localhost
      10.0.0.2\tGPU2.cluster.example gpu2 # the second
      fd00::2   gpu2
      10.0.0.3 gpu3
      """,
    resolver: "nameserver 10.0.0.1\nsearch ib.example other.example\n")

  private func means(_ host: String, _ node: String) throws -> Bool {
    try #require(NodeName(node)).isMeant(by: try #require(HostName(host)), known: known)
  }

  @Test(
    arguments: [
      ("gpu2", "GPU2"), ("GPU2", "gpu2"), ("gpu2.cluster.example", "gpu2"),
      ("Gpu2.IB.example", "gpu2"), ("gpu2", "gpu2.other.example"), ("10.0.0.2", "gpu2"),
      ("fd00::2", "gpu2"), ("10.0.0.2", "GPU2"),
    ])
  func aNodeIsMeantByItsNamesAndAddresses(host: String, node: String) throws {
    #expect(try means(host, node))
  }

  @Test(
    arguments: [
      ("gpu22", "gpu2"), ("gpu2.elsewhere.example", "gpu2"), ("10.0.0.3", "gpu2"), ("gpu3", "gpu2"),
      ("cluster.example", "gpu2"), ("10.0.0.2.ib.example", "gpu2"),
    ])
  func anotherHostIsNot(host: String, node: String) throws { #expect(try !means(host, node)) }

  @Test(arguments: ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
  func theNodeItselfIsMeantHoweverItIsWritten(host: String) throws {
    for spec in ["8001:\(host):8000", "R:9000:\(host):8000"] {
      #expect(try TunnelSpec(spec).forwards.map(\.host) == [.nearest])
    }
  }
}

@Suite struct SpokenProtocolTests {
  private func spoken(_ text: String) -> SpokenProtocol? {
    let pool = PipePool()
    unsafe pool.buffer.copyBytes(from: "old bytes of another".utf8)
    unsafe pool.buffer.copyBytes(from: text.utf8)
    return SpokenProtocol(beginning: pool.beginning(atMost: text.utf8.count))
  }

  @Test func onlyWhatAnAnswerBeginsWithTells() {
    #expect(spoken("HTTP/1.1 200 OK") == .http)
    #expect(spoken("HTTP/") == .http)
    #expect(spoken("SSH-2.0-OpenSSH") == .ssh)
    #expect(spoken("RFB 003.008") == .vnc)
    for other in ["", "H", "HTTP", "+PONG", "220 mail", "\0\0\0\u{1}"] {
      #expect(spoken(other) == nil)
    }
  }
}
