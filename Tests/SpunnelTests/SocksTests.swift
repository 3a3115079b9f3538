// The words of SOCKS, as RFC 1928 and the notes on version 4 lay them down.

import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct SocksRequestTests {
  private static let hello: [UInt8] = [5, 1, 0]
  private static let v4 = [4, 1, 0x1f, 0x90, 10, 0, 0, 7] + Array("me\0".utf8)
  private static let v4a = [4, 1, 0, 80, 0, 0, 0, 1] + Array("me\0n2.example\0".utf8)
  private static func v5(_ kind: UInt8, _ address: [UInt8], _ port: [UInt8] = [0, 80]) -> [UInt8] {
    [5, 1, 0, kind] + address + port
  }
  private static func name(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + text.utf8 }

  /// Says what is asked for and no byte more, as the greeting reads it.
  ///
  /// - Returns: the steps, and the bytes that were not asked for
  private func talk(
    _ bytes: [UInt8], atMost limit: Int = .max
  ) -> (steps: [SocksStep?], rest: [UInt8], SocksRequest) {
    var request = SocksRequest()
    var rest = bytes[...]
    var steps: [SocksStep?] = []
    while true {
      let step = request.next()
      if case .more(let count) = step {
        if rest.isEmpty || count < 1 { return (steps + [step], [], request) }
        request.take(Array(rest.prefix(min(count, limit))))
        rest = rest.dropFirst(min(count, limit))
        continue
      }
      steps.append(step)
      if case .answer = step { continue }
      return (steps, Array(rest), request)
    }
  }

  private static let longest = String(repeating: "x", count: 255)

  private static let good: [([UInt8], String, UInt16)] = [
    (hello + v5(1, [127, 0, 0, 1], [0x1f, 0x90]), "127.0.0.1", 8080),
    (hello + v5(1, [255, 255, 255, 255], [0xff, 0xff]), "255.255.255.255", 65535),
    (hello + v5(3, name("n2.example")), "n2.example", 80),
    (hello + v5(3, name(longest)), longest, 80),
    (hello + v5(3, name("::1")), "::1", 80),
    (
      hello + v5(4, [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [7]),
      "2001:db8:0:0:0:0:0:7", 80
    ),
    ([5, 3, 2, 1, 0] + v5(3, name("a")), "a", 80),
    (v4, "10.0.0.7", 8080), (v4a, "n2.example", 80),
    ([4, 1, 0, 80, 0, 0, 0, 0, 0], "0.0.0.0", 80), ([4, 1, 0, 80, 0, 0, 1, 0, 0], "0.0.1.0", 80),
  ]

  @Test("where a client wants to go is understood, and nothing behind it read", arguments: good)
  func understood(bytes: [UInt8], host name: String, port: UInt16) throws {
    let target = SocksStep.connect(try host(name), try #require(Port(port)))
    let steps: [SocksStep?] = (bytes[0] == 5 ? [.answer([5, 0])] : []) + [target]
    let payload = Array("GET / HTTP/1.0\r\n".utf8)
    for limit in [Int.max, 1, 3] {
      let said = talk(bytes + payload, atMost: limit)
      #expect(said.steps == steps)
      #expect(said.rest == payload)
      #expect(said.2.version == bytes[0])
    }
  }

  @Test(arguments: good)
  func aRequestThatIsCutAnywhereWantsMore(bytes: [UInt8], host: String, port: UInt16) {
    for length in 0..<bytes.count {
      guard case .more(let count)? = talk(Array(bytes.prefix(length))).steps.last else {
        Issue.record("\(length) bytes are not enough")
        continue
      }
      #expect((1...bytes.count - length).contains(count))
    }
  }

  private static func reply(_ code: UInt8) -> [UInt8] { [5, code, 0, 1, 0, 0, 0, 0, 0, 0] }
  private static let oldRefusal: [UInt8] = [0, 0x5b, 0, 0, 0, 0, 0, 0]

  private static let refusals: [([UInt8], [UInt8])] = [
    ([5, 0], [5, 0xff]), ([5, 1, 2], [5, 0xff]), ([5, 2, 1, 2], [5, 0xff]),
    (hello + [5, 2, 0, 1, 127, 0, 0, 1, 0, 80], reply(7)),
    (hello + [5, 3, 0, 1, 127, 0, 0, 1, 0, 80], reply(7)),
    (hello + [5, 1, 0, 2, 127, 0, 0, 1, 0, 80], reply(8)),
    (hello + v5(1, [127, 0, 0, 1], [0, 0]), reply(4)), (hello + v5(3, [0]), reply(4)),
    (hello + v5(3, name("-oProxyCommand=x")), reply(4)), (hello + v5(3, name("a b")), reply(4)),
    (hello + v5(3, [2, 0xff, 0xfe]), reply(4)), (hello + v5(3, name("a\0b")), reply(4)),
    ([4, 2, 0, 80, 10, 0, 0, 7, 0], oldRefusal), ([4, 1, 0, 0, 10, 0, 0, 7, 0], oldRefusal),
    ([4, 1, 0, 80, 0, 0, 0, 1, 0, 0], oldRefusal),
    ([4, 1, 0, 80, 0, 0, 0, 1, 0] + Array("a b\0".utf8), oldRefusal),
  ]

  @Test("what cannot be done is refused in the client's own words", arguments: refusals)
  func refused(bytes: [UInt8], answer: [UInt8]) {
    for limit in [Int.max, 1] { #expect(talk(bytes, atMost: limit).steps.last == .refuse(answer)) }
  }

  @Test(
    arguments: [
      Array("GET / HTTP/1.1\r\n".utf8), Array("SSH-2.0-x\r\n".utf8), [0], [6, 1, 0], [0x16, 3, 1],
      hello + [0, 1, 0, 1],
      [4, 1, 0, 80, 10, 0, 0, 7] + [UInt8](repeating: 0x78, count: 300),
      [4, 1, 0, 80, 0, 0, 0, 1, 0] + [UInt8](repeating: 0x78, count: 300),
    ] as [[UInt8]])
  func whatIsNotSocksIsNoRequest(bytes: [UInt8]) {
    #expect(talk(bytes).steps.last == .some(nil))
  }

  @Test func theVerdictIsInTheClientsOwnWords() {
    let (new, old) = (talk(Self.hello).2, talk(Self.v4).2)
    #expect(new.verdict(true) == Self.reply(0))
    #expect(new.verdict(false) == Self.reply(2))
    #expect(old.verdict(true) == [0, 0x5a, 0, 0, 0, 0, 0, 0])
    #expect(old.verdict(false) == Self.oldRefusal)
  }
}
