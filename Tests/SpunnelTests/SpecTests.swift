// What may stand after `--tunnel`.

import Testing

@testable import Spunnel

@Suite struct SpecTests {
  @Test(
    "a good spec is read as it is typed",
    arguments: [
      ("8001:8000", [(8001, 8000)]),
      ("8001:8000,8889:8888", [(8001, 8000), (8889, 8888)]),
      ("1024:1", [(1024, 1)]),
      ("65535:65535", [(65535, 65535)]),
      ("8001:8000,8002:8000", [(8001, 8000), (8002, 8000)]),
      ("3000:22,2999:22,3001:22", [(3000, 22), (2999, 22), (3001, 22)]),
    ] as [(String, [(UInt16, UInt16)])])
  func good(text: String, pairs: [(UInt16, UInt16)]) throws {
    let spec = try TunnelSpec(text)
    #expect(spec.forwards.map(\.submit.number) == pairs.map(\.0))
    #expect(spec.forwards.map(\.exec.number) == pairs.map(\.1))
    #expect(spec.description == text)
  }

  @Test func leadingZerosAreNoOtherPort() throws {
    #expect(try TunnelSpec("08001:0000000000080").description == "8001:80")
    #expect(throws: SpecError.submitPortTwice(port: Port(8001)!)) {
      try TunnelSpec("8001:80,08001:81")
    }
  }

  private static let long = String(repeating: "9", count: 400)

  private static let refusals: [(String, SpecError, String)] = [
    ("", .empty, "''"),
    ("8001", .missingColon(pair: "8001"), "'8001'"),
    ("http", .missingColon(pair: "http"), "'http'"),
    (" ", .missingColon(pair: " "), "' '"),
    ("8001:8000,8002", .missingColon(pair: "8002"), "'8002'"),
    ("8001;8000", .missingColon(pair: "8001;8000"), "'8001;8000'"),
    ("8001:8000:80", .tooManyParts(pair: "8001:8000:80"), "'8001:8000:80'"),
    ("::", .tooManyParts(pair: "::"), "'::'"),
    ("8001::80", .tooManyParts(pair: "8001::80"), "'8001::80'"),
    ("8001:n1:80", .tooManyParts(pair: "8001:n1:80"), "'8001:n1:80'"),
    (":", .emptyPort(pair: ":"), "':'"),
    (":8000", .emptyPort(pair: ":8000"), "':8000'"),
    ("8001:", .emptyPort(pair: "8001:"), "'8001:'"),
    (",", .emptyPair(spec: ","), "','"),
    ("8001:8000,", .emptyPair(spec: "8001:8000,"), "'8001:8000,'"),
    (",8001:8000", .emptyPair(spec: ",8001:8000"), "',8001:8000'"),
    ("8001:80,,8002:80", .emptyPair(spec: "8001:80,,8002:80"), "'8001:80,,8002:80'"),
    ("abc:8000", .notANumber(text: "abc", pair: "abc:8000"), "'abc'"),
    ("8001:http", .notANumber(text: "http", pair: "8001:http"), "'http'"),
    ("8001x:8000", .notANumber(text: "8001x", pair: "8001x:8000"), "'8001x'"),
    ("8001:8000x", .notANumber(text: "8000x", pair: "8001:8000x"), "'8000x'"),
    ("+8001:8000", .notANumber(text: "+8001", pair: "+8001:8000"), "'+8001'"),
    ("-8001:8000", .notANumber(text: "-8001", pair: "-8001:8000"), "'-8001'"),
    ("8001:-1", .notANumber(text: "-1", pair: "8001:-1"), "'-1'"),
    (" 8001:8000", .notANumber(text: " 8001", pair: " 8001:8000"), "' 8001'"),
    ("8001 :8000", .notANumber(text: "8001 ", pair: "8001 :8000"), "'8001 '"),
    ("8001: 8000", .notANumber(text: " 8000", pair: "8001: 8000"), "' 8000'"),
    ("8001:8000, 8002:80", .notANumber(text: " 8002", pair: " 8002:80"), "' 8002'"),
    ("0x1f41:8000", .notANumber(text: "0x1f41", pair: "0x1f41:8000"), "'0x1f41'"),
    ("8e3:8000", .notANumber(text: "8e3", pair: "8e3:8000"), "'8e3'"),
    ("8001:8000\n", .notANumber(text: "8000?", pair: "8001:8000?"), "'8000?'"),
    ("8001:8\u{1b}[2J", .notANumber(text: "8?[2J", pair: "8001:8?[2J"), "'8?[2J'"),
    ("8\t001:80", .notANumber(text: "8?001", pair: "8?001:80"), "'8?001'"),
    ("٨٠٠١:8000", .notANumber(text: "٨٠٠١", pair: "٨٠٠١:8000"), "'٨٠٠١'"),
    ("８００１:8000", .notANumber(text: "８００１", pair: "８００１:8000"), "'８００１'"),
    ("8001:8²", .notANumber(text: "8²", pair: "8001:8²"), "'8²'"),
    ("8001,\u{301}:80", .notANumber(text: "8001,\u{301}", pair: "8001,\u{301}:80"), "8001,\u{301}"),
    ("0:8000", .outOfRange(text: "0", pair: "0:8000"), "'0'"),
    ("8001:0", .outOfRange(text: "0", pair: "8001:0"), "'0'"),
    ("8001:00", .outOfRange(text: "00", pair: "8001:00"), "'00'"),
    ("65536:80", .outOfRange(text: "65536", pair: "65536:80"), "'65536'"),
    ("8001:65536", .outOfRange(text: "65536", pair: "8001:65536"), "'65536'"),
    ("8001:70000", .outOfRange(text: "70000", pair: "8001:70000"), "'70000'"),
    (
      "18446744073709559617:80",
      .outOfRange(text: "18446744073709559617", pair: "18446744073709559617:80"),
      "'18446744073709559617'"
    ),
    (
      "\(long):80", .outOfRange(text: printable(long), pair: printable(long + ":80")),
      "'\(long.prefix(200))…'"
    ),
    ("80:8000", .reserved(text: "80", pair: "80:8000"), "'80'"),
    ("1023:8000", .reserved(text: "1023", pair: "1023:8000"), "'1023'"),
    ("1:1", .reserved(text: "1", pair: "1:1"), "'1'"),
  ]

  @Test("a malformed spec is refused and the part quoted", arguments: refusals)
  func malformed(text: String, error: SpecError, quoted: String) {
    #expect(throws: error) { try TunnelSpec(text) }
    #expect(error.description.contains(quoted))
    #expect(!error.description.contains { $0.isNewline || $0 == "\u{1b}" })
  }

  @Test(arguments: ["8001:80,8001:80", "8001:80,8002:80,8001:81"])
  func aSubmitPortIsGivenOnce(text: String) throws {
    let error = SpecError.submitPortTwice(port: try #require(Port(8001)))
    malformed(text: text, error: error, quoted: "'8001'")
  }

  @Test func aThousandPairsAreTaken() throws {
    let text = (0..<1000).map { "\(20000 + $0):\(1 + $0)" }.joined(separator: ",")
    let spec = try TunnelSpec(text)
    #expect(spec.forwards.count == 1000)
    #expect(spec.description == text)
  }

  @Test func everyPortIsEitherReadOrRefused() {
    let wrong = (0...UInt16.max).filter { number in
      let spec = try? TunnelSpec("\(number):\(number)")
      return spec?.forwards.map(\.exec.number) != (number < 1024 ? nil : [number])
    }
    #expect(wrong == [])
  }
}
