// The gate in front of a session's page: what it lets pass, and what a browser's bytes mean.

import Testing

@testable import SpunnelSession

@Suite struct SessionGateTests {
  private static let secret = "0123456789abcdef0123456789abcdef"
  private let rules = GateRules(cookie: "spunnel-12", secret: SessionGateTests.secret)

  private func request(_ first: String, _ fields: [String]) throws -> HTTPRequest {
    try #require(HTTPRequest(head: ([first] + fields).joined(separator: "\r\n").utf8))
  }

  private func decide(_ first: String, _ fields: String...) throws -> GateDecision {
    rules.decide(try request(first, fields))
  }

  private static let cookie = "Cookie: other=1; spunnel-12=\(secret)"

  @Test func ownPagePasses() throws {
    let get = "GET /lab?x=1 HTTP/1.1"
    #expect(try decide(get, "Host: localhost:8001", SessionGateTests.cookie) == .pass)
    #expect(try decide(get, "Host: [::1]:8001", SessionGateTests.cookie) == .pass)
    #expect(
      try decide(
        "GET /websockify HTTP/1.1", "Host: localhost:8001", "Origin: http://localhost:8001",
        "Upgrade: websocket", "Sec-Fetch-Site: same-origin", SessionGateTests.cookie) == .pass)
    #expect(
      try decide("GET /spunnel/next HTTP/1.1", "Host: localhost", SessionGateTests.cookie) == .next)
    #expect(
      try decide("POST /spunnel/enter HTTP/1.1", "Host: localhost:1", "Origin: http://localhost:1")
        == .enter)
  }

  @Test(arguments: [
    ["Host: evil.example:8001", cookie], ["Host: localhost.evil.example", cookie],
    ["Host: 10.0.0.1", cookie], ["Host: localhost:x", cookie], [cookie],
    ["Host: localhost", "Host: localhost", cookie],
    ["Host: localhost:8001", "Origin: http://localhost:8002", cookie],
    ["Host: localhost:8001", "Origin: http://evil.example", cookie],
    ["Host: localhost:8001", "Origin: null", cookie],
    ["Host: localhost:8001", "Origin: http://localhost:8001", "Origin: http://evil", cookie],
    ["Host: localhost:8001", "Sec-Fetch-Site: same-site", cookie],
    ["Host: localhost:8001", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: iframe", cookie],
    ["Host: localhost:8001", "Upgrade: websocket", cookie],
    ["Host: localhost:8001"], ["Host: localhost:8001", "Cookie: spunnel-12="],
    ["Host: localhost:8001", "Cookie: spunnel-12=\(secret)0"],
    ["Host: localhost:8001", "Cookie: spunnel-13=\(secret)"],
  ])
  func othersAreRefused(_ fields: [String]) throws {
    let decision = rules.decide(try request("GET /lab HTTP/1.1", fields))
    guard case .refuse = decision else {
      Issue.record("\(fields): \(decision)")
      return
    }
  }

  @Test func aFollowedLinkLandsAndNothingMore() throws {
    let link = ["Host: localhost:8001", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: document"]
    let cookie = SessionGateTests.cookie
    #expect(rules.decide(try request("GET /lab/api/x HTTP/1.1", link + [cookie])) == .landing)
    #expect(rules.decide(try request("GET / HTTP/1.1", link)) == .landing)
    #expect(try decide("GET / HTTP/1.1", "Host: localhost", "Accept: text/html") == .landing)
  }

  @Test(arguments: [
    "GET / HTTP/1.1\r\nHost : localhost", "GET / HTTP/1.1\r\n Host: localhost",
    "GET / HTTP/1.1\r\nHost: localhost\r\n folded", "GET  / HTTP/1.1", "GET http://x/ HTTP/1.1",
    "GET /\u{1} HTTP/1.1", "GET / HTTP/1.1\r\nA: b\nHost: evil", "GET / HTTP/2", "", "GET /",
    "GET / HTTP/1.1\r\nno colon",
  ])
  func malformedHeadsAreRefused(_ head: String) {
    #expect(HTTPRequest(head: head.utf8) == nil)
  }

  @Test func theProgramGetsItsFieldAndNotTheCookie() throws {
    let head = rules.forwarded(
      try request(
        "GET /a HTTP/1.1",
        ["Host: localhost", "Connection: keep-alive", "authorization: x", SessionGateTests.cookie]),
      adding: "Authorization: token t")
    let text = String(decoding: head, as: UTF8.self)
    #expect(
      text == "GET /a HTTP/1.1\r\nhost: localhost\r\ncookie: other=1\r\nconnection: close\r\n"
        + "Authorization: token t\r\n\r\n")
  }

  @Test func handshakeOfRFC6455() throws {
    #expect(WebSocket.answer(to: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    #expect(SHA1.base64(Array("ab".utf8)) == "YWI=")
    #expect(SHA1.base64(Array("a".utf8)) == "YQ==")
  }

  @Test func framesComeInPieces() {
    let mask: [UInt8] = [1, 2, 3, 4]
    func frame(_ code: UInt8, _ payload: [UInt8]) -> [UInt8] {
      let size = UInt16(payload.count)
      let head: [UInt8] =
        size < 126 ? [0x80 | UInt8(size)] : [0x80 | 126, UInt8(size >> 8), UInt8(size & 255)]
      return [0x80 | code] + head + mask
        + payload.enumerated().map { $0.element ^ mask[$0.offset & 3] }
    }
    let long = (0..<1000).map { UInt8($0 & 255) }
    let stream = frame(2, []) + frame(2, long) + frame(9, [7]) + frame(2, [5]) + frame(8, [3, 232])
    for size in [1, 2, 7, 5000] {
      var reader = WebSocketReader()
      var (data, replies): ([UInt8], [UInt8]) = ([], [])
      var isOver = false
      for start in stride(from: 0, to: stream.count, by: size) {
        let output = reader.take(Array(stream[start..<min(start + size, stream.count)]))
        data += output.data
        replies += output.replies
        isOver = output.isOver
      }
      #expect(data == long + [5])
      #expect(replies == [0x8a, 1, 7, 0x88, 2, 3, 232])
      #expect(isOver)
    }
  }

  @Test(
    arguments: [
      [0x82, 0x01, 0x00], [0x81, 0x81, 0, 0, 0, 0], [0xc2, 0x80, 0, 0, 0, 0],
      [0x09, 0x80, 0, 0, 0, 0],
      [0x89, 0xfe, 0, 126, 0, 0, 0, 0], [0x82, 0xff, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] as [[UInt8]])
  func brokenFramesEndIt(_ bytes: [UInt8]) {
    var reader = WebSocketReader()
    #expect(reader.take(bytes + [0, 0, 0]).isOver)
  }

  @Test func pathsOfFilesStayInTheirFolder() {
    #expect(GatePages.isPlain("/core/rfb.js"))
    for path in ["/../etc/passwd", "/.git/x", "//x", "/a%2e/x", "x", "/", "/a/"] {
      #expect(!GatePages.isPlain(path), "\(path)")
    }
  }
}
