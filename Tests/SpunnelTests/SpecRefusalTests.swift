// What may not stand after `--tunnel`, and how it is quoted.

import SpunnelSystem
import Testing

@testable import SpunnelTunnel

@Suite struct SpecRefusalTests {
  /// Refused in a forward that is the whole spec.
  private enum Why {
    case parts, end, many, auto, letter
    case address(String)
    case port(String), range(String), reserved(String), host(String)
    case path(String, String)

    func error(_ forward: String) -> SpecError {
      let forward = printable(forward)
      return switch self {
      case .parts: .tooManyParts(forward: forward)
      case .end: .lacksEnd(forward: forward)
      case .many: .manyNodesOneEnd(forward: forward)
      case .letter: .letterL(forward: forward)
      case .address(let text): .bindAddress(text: text, forward: forward)
      case .auto: .misplacedAuto(forward: forward)
      case .port(let text): .noPort(text: text, forward: forward)
      case .range(let text): .outOfRange(text: text, forward: forward)
      case .reserved(let text): .reserved(text: text, forward: forward)
      case .host(let text): .noHost(text: text, forward: forward)
      case .path(let text, let why): .noPath(text: text, forward: forward, why: why)
      }
    }

    /// What was typed and is wrong.
    func quoted(_ forward: String) -> String {
      switch self {
      case .parts, .end, .many: printable(forward)
      case .auto: "auto"
      case .letter: "L:"
      case .address(let text): text
      case .port(let text), .range(let text), .reserved(let text), .host(let text): text
      case .path(let text, _): text
      }
    }
  }

  private static let long = String(repeating: "9", count: 400)
  private static let hidden = "it has white space or characters that do not show"
  private static let rooted = "write it from the root, as in /tmp/web.sock"
  private static let tooLong = "it is longer than 107 bytes"
  private static func noPattern(_ text: String) -> String {
    "'\(text)' is no pattern: there are %j job, %s step, %u user, %n node, and %%"
  }

  private static let refusals: [(String, Why)] = [
    ("8001:n1:80:80", .parts), (":::", .parts), ("8001:::1:80", .parts), ("D:1080:80", .parts),
    ("R:9000:h:80:1", .parts), ("8001:80:80:80:80", .parts), ("D::", .parts),
    (":", .end), ("8001:", .end), ("8001:n1:", .end), ("/tmp/s", .end), ("/tmp/s:", .end),
    ("R", .end), ("R:", .end), ("R:9000:", .end), ("R:9000:h:", .end), ("R:/p", .end),
    ("R::", .end), ("R:all", .port("all")), ("D", .end), ("8001:[::1]:", .end),
    ("8001:all:8000", .many), ("/tmp/s:all:80", .many), ("/tmp/%j:all:80", .many),
    ("L:8001:8000", .letter), ("L", .letter), ("localhost:8001:8000", .address("localhost")),
    ("127.0.0.1:8001:n1:80", .address("127.0.0.1")), ("*:8001:80", .address("*")),
    ("[::1]:8001:80", .address("[::1]")), ("D:localhost:1080", .address("localhost")),
    ("R:localhost:9000:80", .address("localhost")), ("web.sock:n2:80", .path("web.sock", rooted)),
    ("8001:web.sock", .path("web.sock", rooted)),
    ("8001:~/web", .path("~/web", rooted)), ("./s:80", .path("./s", rooted)),
    ("R:9000:./s", .path("./s", rooted)), ("auto", .auto), (":all:auto", .auto),
    ("8001:all:auto", .auto),
    ("http", .port("http")), (" ", .port(" ")), ("8001;8000", .port("8001;8000")),
    ("abc:8000", .port("abc")), ("8001:http", .port("http")), ("8001x:8000", .port("8001x")),
    ("8001:8000x", .port("8000x")), ("+8001:8000", .port("+8001")), ("-8001:8", .port("-8001")),
    ("8001:-1", .port("-1")), (" 8001:8000", .port(" 8001")), ("8001 :8000", .port("8001 ")),
    ("8001: 8000", .port(" 8000")), ("0x1f41:8000", .port("0x1f41")), ("8e3:80", .port("8e3")),
    ("8001:8000\n", .port("8000?")), ("8001:8\u{1b}[2J", .port("8?[2J")),
    ("8\t001:80", .port("8?001")), ("٨٠٠١:8000", .port("٨٠٠١")), ("８００１:80", .port("８００１")),
    ("8001:8²", .port("8²")), ("8001,\u{301}:80", .port("8001,\u{301}")),
    ("8001:\u{301}80", .port("8001:\u{301}80")), ("\u{202e}8001:80", .port("?8001")),
    ("[::1]:80", .port("[::1]")), ("8001:[::1:80", .port("[::1:80")),
    ("tmp/s:80", .path("tmp/s", rooted)),
    ("auto:8000", .port("auto")), ("R:auto:80", .port("auto")), ("R:9000:auto", .port("auto")),
    ("D:auto", .port("auto")), ("8001:D", .port("D")), ("r:9000:80", .port("r")),
    ("8001:0", .range("0")), ("8001:00", .range("00")), ("0", .range("0")),
    ("65536:80", .range("65536")), ("8001:65536", .range("65536")), ("70000", .range("70000")),
    ("D:65536", .range("65536")), ("8001:n1:0", .range("0")), ("R:9000:h:0", .range("0")),
    ("18446744073709559617:80", .range("18446744073709559617")),
    ("\(long):80", .range("\(long.prefix(200))…")),
    ("80:8000", .reserved("80")), ("1023:8000", .reserved("1023")), ("1:1", .reserved("1")),
    ("80", .reserved("80")), ("D:1023", .reserved("1023")), ("R:80:8000", .reserved("80")),
    ("8001::80", .host("")), ("::", .host("")), ("8001:n 1:80", .host("n 1")),
    ("8001:-oProxyCommand=x:80", .host("-oProxyCommand=x")), ("8001:n[1-2]:80", .host("n[1-2]")),
    ("8001:user@n1:80", .host("user@n1")), ("8001:nœud:80", .host("nœud")),
    ("8001:n1\u{7}:80", .host("n1?")), ("8001:[n1]:80", .host("[n1]")), ("8001:[]:80", .host("[]")),
    ("8001:[::g]:80", .host("[::g]")), ("8001:+:80", .host("+")), ("8001:+1x:80", .host("+1x")),
    ("8001:+-1:80", .host("+-1")), ("8001:+100000:80", .host("+100000")),
    ("R:9000:+1:80", .host("+1")), ("8001:/tmp/s:80", .host("/tmp/s")),
    ("/:80", .path("/", rooted)), ("8001:/", .path("/", rooted)),
    ("/tmp/a b:80", .path("/tmp/a b", hidden)), ("/a\u{a0}b:80", .path("/a\u{a0}b", hidden)),
    ("8001:/tmp/\u{1b}c", .path("/tmp/?c", hidden)), ("D:/a\u{200b}b", .path("/a?b", hidden)),
    ("/tmp/%x:80", .path("/tmp/%x", noPattern("%x"))), ("/a%:80", .path("/a%", noPattern("%"))),
    ("R:/%J:80", .path("/%J", noPattern("%J"))), ("/%%%:80", .path("/%%%", noPattern("%"))),
  ]

  @Test("a malformed forward is refused and the part quoted", arguments: refusals)
  private func refused(text: String, why: Why) {
    expectRefusal(of: text, why.error(text), quoting: "'\(why.quoted(text))'")
  }

  private func expectRefusal(
    of text: String, _ error: SpecError, quoting quoted: String,
    at location: SourceLocation = #_sourceLocation
  ) {
    #expect(throws: error, sourceLocation: location) { try TunnelSpec(text) }
    #expect(error.description.contains(quoted), sourceLocation: location)
    #expect(
      !error.description.contains { $0.isNewline || $0 == "\u{1b}" }, sourceLocation: location)
  }

  @Test func anEmptySpecIsNone() { expectRefusal(of: "", .empty, quoting: "''") }

  @Test(arguments: [",", "8001:8000,", ",8001:8000", "8001:80,,8002:80"])
  func aForwardIsNeverEmpty(text: String) {
    expectRefusal(of: text, .emptyForward(spec: text), quoting: "'\(text)'")
  }

  @Test func onlyTheForwardThatIsWrongIsQuoted() {
    expectRefusal(of: "8001:8000,80", .reserved(text: "80", forward: "80"), quoting: "'80'")
    expectRefusal(
      of: "8001:8000, 8002:80", .noPort(text: " 8002", forward: " 8002:80"), quoting: "' 8002'")
  }

  @Test(
    arguments: [
      ("8001:80,8001:80", "8001"), ("8001:80,8002:80,8001:81", "8001"), ("8001,D:8001", "8001"),
      ("D:8001,8001:n2:80", "8001"), ("/tmp/s:80,/tmp/s:81", "/tmp/s"), ("D:/%j,/%j:80", "/%j"),
    ])
  func aSubmitEndIsGivenOnce(text: String, end: String) {
    expectRefusal(of: text, .submitEndTwice(end: end), quoting: "'\(end)'")
  }

  @Test(arguments: [("R:9000:80,R:9000:81", "9000"), ("R:/p:80,8001:80,R:/p:81", "/p")])
  func anExecEndIsGivenOnce(text: String, end: String) {
    expectRefusal(of: text, .execEndTwice(end: end), quoting: "'\(end)'")
  }

  @Test func aPathHasAtMost107Bytes() throws {
    let longest = "/" + String(repeating: "x", count: 106)
    #expect(try TunnelSpec("\(longest):80").description == "\(longest):80")
    for count in [1, 200, 4096] {
      let path = longest + String(repeating: "x", count: count)
      let error = SpecError.noPath(
        text: printable(path), forward: printable("\(path):80"), why: Self.tooLong)
      expectRefusal(of: "\(path):80", error, quoting: "'\(printable(path))'")
    }
  }

  @Test(
    "what was meant is told how to write",
    arguments: [
      ("-L 8001:localhost:8000", "for ssh's -L"), ("-D1080", "D:1080 for -D"),
      ("8001:8000 8002:80", "by a comma alone"), ("8001:8000, 8002:80", "by a comma alone"),
      ("n1:8000", "write :n1:8000 for a free port of this host to node n1, or 8001:n1:8000"),
      ("auto:8000", "a port is a number"), ("8001x:http", "a port is a number"),
      ("8001:n/1:80", "name a node of the step"),
    ])
  func whatWasMeantIsTold(_ text: String, _ advice: String) throws {
    let error = try #require(throws: SpecError.self) { try TunnelSpec(text) }
    #expect(error.description.contains(": ") && error.description.contains(advice))
  }

  @Test(arguments: ["", ":80", ":all:80", ":[::1]:80"])
  func fourKilobytesOfTextAreQuotedInShort(tail: String) {
    let text = String(repeating: "x", count: 4096) + tail
    let error = #expect(throws: SpecError.self) { try TunnelSpec(text) }
    #expect((error?.description.utf8.count ?? .max) < 600)
  }
}
