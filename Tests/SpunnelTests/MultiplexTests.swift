// The bytes on ssh's control socket, as PROTOCOL.mux lays them down.

import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct MultiplexRequestTests {
  @Test func helloTellsTheVersion() {
    #expect(
      MultiplexRequest.hello == [
        0, 0, 0, 8,  // length
        0, 0, 0, 1,  // MUX_MSG_HELLO
        0, 0, 0, 4,  // version
      ])
  }

  @Test func aForwardGoesFromAPathToAPort() throws {
    let bytes = MultiplexRequest.open(.local(path: "/r/1.sock", to: try service(8000)))
    #expect(
      bytes == [
        0, 0, 0, 46,  // length
        0x10, 0, 0, 6,  // MUX_C_OPEN_FWD
        0, 0, 0, 0,  // request id
        0, 0, 0, 1,  // MUX_FWD_LOCAL
        0, 0, 0, 9, 0x2f, 0x72, 0x2f, 0x31, 0x2e, 0x73, 0x6f, 0x63, 0x6b,  // "/r/1.sock"
        0xff, 0xff, 0xff, 0xfe,  // PORT_STREAMLOCAL
        0, 0, 0, 9, 0x6c, 0x6f, 0x63, 0x61, 0x6c, 0x68, 0x6f, 0x73, 0x74,  // "localhost"
        0, 0, 0x1f, 0x40,  // 8000
      ])
  }

  @Test func aForwardGoesFromAPathToAPath() throws {
    let service = Service(host: .localhost, end: .path("/s"))
    #expect(
      MultiplexRequest.open(.local(path: "/r", to: service)) == [
        0, 0, 0, 32,  // length
        0x10, 0, 0, 6,  // MUX_C_OPEN_FWD
        0, 0, 0, 0,  // request id
        0, 0, 0, 1,  // MUX_FWD_LOCAL
        0, 0, 0, 2, 0x2f, 0x72,  // "/r"
        0xff, 0xff, 0xff, 0xfe,  // PORT_STREAMLOCAL
        0, 0, 0, 2, 0x2f, 0x73,  // "/s"
        0xff, 0xff, 0xff, 0xfe,  // PORT_STREAMLOCAL
      ])
  }

  @Test(arguments: [(Endpoint.free, [0, 0, 0, 0]), (.port(Port(9000)!), [0, 0, 0x23, 0x28])])
  func aRemoteForwardIsClosedWithTheWordsThatOpenedIt(listen: Endpoint, port: [UInt8]) throws {
    let forward = MultiplexRequest.Forward.remote(listen: listen, to: try service(53, of: "n2"))
    let words: [UInt8] =
      [
        0, 0, 0, 0,  // request id
        0, 0, 0, 2,  // MUX_FWD_REMOTE
        0, 0, 0, 9, 0x6c, 0x6f, 0x63, 0x61, 0x6c, 0x68, 0x6f, 0x73, 0x74,  // "localhost"
      ] + port + [
        0, 0, 0, 2, 0x6e, 0x32,  // "n2"
        0, 0, 0, 53,
      ]
    #expect(MultiplexRequest.open(forward) == [0, 0, 0, 39, 0x10, 0, 0, 6] + words)
    #expect(MultiplexRequest.close(forward) == [0, 0, 0, 39, 0x10, 0, 0, 7] + words)
  }

  @Test func aProbeIsAStdioForward() throws {
    let bytes = MultiplexRequest.connect(try service(8000))
    #expect(
      bytes == [
        0, 0, 0, 29,  // length
        0x10, 0, 0, 8,  // MUX_C_NEW_STDIO_FWD
        0, 0, 0, 0,  // request id
        0, 0, 0, 0,  // reserved
        0, 0, 0, 9, 0x6c, 0x6f, 0x63, 0x61, 0x6c, 0x68, 0x6f, 0x73, 0x74,  // "localhost"
        0, 0, 0x1f, 0x40,  // 8000
      ])
  }

  @Test func anAliveCheckAsksForNothing() {
    #expect(MultiplexRequest.alive == [0, 0, 0, 8, 0x10, 0, 0, 4, 0, 0, 0, 0])
  }

  @Test func theHighestPortIsNotCut() throws {
    let bytes = MultiplexRequest.connect(try service(.max))
    #expect(bytes.suffix(4) == [0, 0, 0xff, 0xff])
    let nothing = MultiplexRequest.connect(Service(host: .localhost, end: .free))
    #expect(nothing.suffix(4) == [0, 0, 0, 0])
    let forward = MultiplexRequest.open(.local(path: "", to: try service(.max)))
    #expect(forward.suffix(4) == [0, 0, 0xff, 0xff])
  }
}

@Suite struct MultiplexReaderTests {
  private static let hello: [UInt8] = [0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 4]
  private static let done: [UInt8] = [0, 0, 0, 8, 0x80, 0, 0, 1, 0, 0, 0, 7]
  private static let opened: [UInt8] = [0, 0, 0, 12, 0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 9]
  private static let failed: [UInt8] =
    [0, 0, 0, 14, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0x6e, 0x6f]  // "no"
  private static let denied: [UInt8] =
    [0, 0, 0, 13, 0x80, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0x78]  // "x"
  private static let chosen: [UInt8] =
    [0, 0, 0, 12, 0x80, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0x9c, 0x41]
  private static let exit: [UInt8] = [0, 0, 0, 12, 0x80, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 0]
  private static let alive: [UInt8] = [0, 0, 0, 12, 0x80, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9]
  private static let all = hello + done + opened + failed + denied + chosen + exit + alive
  private static let replies: [MultiplexReply] = [
    .hello(version: 4), .done, .opened, .failed("no"), .failed("x"), .chosen(port: 40001),
    .exited(0), .alive,
  ]

  @Test(arguments: zip([hello, done, opened, failed, denied, chosen, exit, alive], replies))
  func oneReplyInOnePiece(bytes: [UInt8], reply: MultiplexReply) throws {
    var reader = MultiplexReader()
    #expect(try reader.take(bytes) == [reply])
  }

  @Test func severalAtOnce() throws {
    var reader = MultiplexReader()
    #expect(try reader.take(Self.all) == Self.replies)
  }

  @Test func byteByByte() throws {
    var reader = MultiplexReader()
    var replies: [MultiplexReply] = []
    for byte in Self.all { replies += try reader.take([byte]) }
    #expect(replies == Self.replies)
  }

  @Test func cutAtAnyPlace() throws {
    for cut in 0...Self.all.count {
      var reader = MultiplexReader()
      let first = try reader.take(Array(Self.all.prefix(cut)))
      #expect(first + (try reader.take(Array(Self.all.dropFirst(cut)))) == Self.replies)
    }
  }

  @Test func helloWithExtensionsIsHello() throws {
    var reader = MultiplexReader()
    let bytes: [UInt8] = [0, 0, 0, 17, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1, 0x61, 0, 0, 0, 0]
    #expect(try reader.take(bytes) == [.hello(version: 4)])
  }

  @Test(
    arguments: [
      [0, 0, 0, 8, 0x80, 0, 0, 3, 0, 0, 0, 0],  // no reason at all
      [0, 0, 0, 12, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 9],  // a reason longer than the message
      [0, 0, 0, 12, 0x80, 0, 0, 3, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    ] as [[UInt8]])
  func aFailureWithADamagedReasonIsAFailure(bytes: [UInt8]) throws {
    var reader = MultiplexReader()
    #expect(try reader.take(bytes) == [.failed("refused")])
  }

  @Test(
    arguments: [
      [0, 0, 0, 0],  // no type
      [0, 0, 0, 3, 0, 0, 0],  // half a type
      [0, 0, 0, 4, 0, 0, 0, 1],  // hello without a version
      [0, 0, 0, 8, 0x80, 0, 0, 7, 0, 0, 0, 0],  // a choice without a port
      [0xff, 0xff, 0xff, 0xff],  // longer than any message
      [0, 4, 0, 1],  // a byte more than 256 KiB
      Array("HTTP/1.1 200 OK\r\n".utf8),
    ] as [[UInt8]])
  func whatIsNoMessageIsRefused(bytes: [UInt8]) {
    var reader = MultiplexReader()
    #expect(throws: MultiplexReader.Malformed.self) { try reader.take(bytes) }
  }
}
