// What may stand after `--tunnel`.

import Testing

@testable import SpunnelTunnel

@Suite struct SpecTests {
  @Test(
    "a good spec has one canonical form",
    arguments: [
      ("8001:8000", "8001:8000"), ("8001:8000,8889:8888", "8001:8000,8889:8888"),
      ("8888", "8888:8888"), (":8888", "0:8888"), ("0:8888", "0:8888"), ("000:8888", "0:8888"),
      ("1024:1", "1024:1"), ("65535:65535", "65535:65535"), ("65535", "65535:65535"),
      ("08001:0000000000080", "8001:80"), ("8001:8000,8002:8000", "8001:8000,8002:8000"),
      ("3000:22,2999:22,3001:22", "3000:22,2999:22,3001:22"), (":80,:80", "0:80,0:80"),
      ("8001:n2:8000", "8001:n2:8000"), (":n2:8000", "0:n2:8000"),
      ("8001:10.0.0.1:80", "8001:10.0.0.1:80"), ("8001:localhost:80", "8001:80"),
      ("8001:[::1]:80", "8001:80"), ("8001:127.0.0.1:80", "8001:80"),
      ("8001:[2001:db8::7]:/s", "8001:[2001:db8::7]:/s"),
      ("8001:+1:8000", "8001:+1:8000"), ("8001:+0:80", "8001:+0:80"), (":+01:80", "0:+1:80"),
      (":+99999:80", "0:+99999:80"), ("8001:ALL:80", "8001:ALL:80"), ("8001:R:80", "8001:R:80"),
      (":all:8000", "0:all:8000"), ("0:all:/run/s", "0:all:/run/s"),
      ("/tmp/%n.sock:all:80", "/tmp/%n.sock:all:80"),
      ("8001:/path/socket", "8001:/path/socket"), ("/path/socket:8000", "/path/socket:8000"),
      ("/a:/b", "/a:/b"), ("/a:n2:/b", "/a:n2:/b"), ("8001:/[a:b]", "8001:/[a:b]"),
      ("/tmp/%j-%s-%u-%n-%%:%%", nil), ("/tmp/%j-%s-%u-%n-%%:/%j", "/tmp/%j-%s-%u-%n-%%:/%j"),
      (":auto", "0:auto"), ("8001:auto", "8001:auto"), (":+1:auto", "0:+1:auto"),
      ("/s:n2:auto", "/s:n2:auto"), ("8001:auto:80", "8001:auto:80"),
      ("R::80", "R:0:80"), ("R:0:80", "R:0:80"), ("R:all:9000:80", "R:all:9000:80"),
      ("R:all::80", "R:all:0:80"),
      ("R:n2:9000:80", "R:n2:9000:80"), ("R:+1:9000", "R:+1:9000:9000"),
      ("R:n2:9000:db:80", "R:n2:9000:db:80"),
      ("R:9000:80,R:+1:9000:80", "R:9000:80,R:+1:9000:80"),
      ("R:9000:5432", "R:9000:5432"), ("R:9000", "R:9000:9000"), ("R:9000:1", "R:9000:1"),
      ("R:/p:5432", "R:/p:5432"), ("R:9000:/p", "R:9000:/p"), ("R:/p:/q", "R:/p:/q"),
      ("R:9000:host:5432", "R:9000:host:5432"), ("R:9000:localhost:53", "R:9000:53"),
      ("R:9000:[::1]:53", "R:9000:53"), ("R:/p:host:/q", "R:/p:host:/q"),
      ("D:1080", "D:1080"), ("D:0", "D:0"), ("D:", "D:0"), ("D:/tmp/%u", "D:/tmp/%u"),
      ("9000,R:9000,R:/9000", nil), ("9000,R:9000", "9000:9000,R:9000:9000"),
      ("D:1080,R:1080", "D:1080,R:1080:1080"),
    ] as [(String, String?)])
  func good(text: String, canonical: String?) throws {
    guard let canonical else {
      #expect(throws: SpecError.self) { try TunnelSpec(text) }
      return
    }
    let spec = try TunnelSpec(text)
    #expect(spec.description == canonical)
    #expect(try TunnelSpec(canonical) == spec)
  }

  @Test func everyPartHasItsPlace() throws {
    let spec = try TunnelSpec("8001:n2:8000,:+2:auto,:all:/s,R:9000:host:53,D:/tmp/%u")
    let (port, far) = (try #require(Port(8001)), try #require(Port(8000)))
    #expect(
      spec.forwards == [
        ForwardRequest(
          kind: .local, listen: .port(port), host: .named(try host("n2")), connect: .port(far)),
        ForwardRequest(kind: .local, listen: .any, host: .after(2), connect: .any),
        ForwardRequest(
          kind: .local, listen: .any, host: .all, connect: .path(try PathPattern("/s"))),
        ForwardRequest(
          kind: .remote, listen: .port(try #require(Port(9000))), host: .named(try host("host")),
          connect: .port(try #require(Port(53)))),
        ForwardRequest(
          kind: .dynamic, listen: .path(try PathPattern("/tmp/%u")), host: .nearest, connect: .any),
      ])
  }

  @Test func leadingZerosAreNoOtherPort() {
    #expect(throws: SpecError.submitEndTwice(end: "8001")) { try TunnelSpec("8001:80,08001:81") }
  }

  @Test func thePortsThatAreNamedCanBeClaimed() throws {
    let spec = try TunnelSpec("8001:80,:81,/tmp/s:82,D:1080,R:9000:9001,8005:n2:83,D:")
    #expect(spec.ports.map(\.number) == [8001, 1080, 8005])
  }

  @Test(
    arguments: [
      (":auto", true), ("8001:80,8002:+1:auto", true), ("8001:80", false), ("D:", false),
      (":80", false), ("R:9000:80", false),
    ])
  func whetherAnExecPortIsToBeChosen(text: String, isSo: Bool) throws {
    #expect(try TunnelSpec(text).wantsExecPort == isSo)
  }

  @Test func aThousandForwardsAreTaken() throws {
    let text = (0..<1000).map { "\(20000 + $0):\(1 + $0)" }.joined(separator: ",")
    let spec = try TunnelSpec(text)
    #expect(spec.forwards.count == 1000)
    #expect(spec.description == text)
  }

  @Test func everyPortIsEitherReadOrRefused() {
    let wrong = (0...UInt16.max).filter { number in
      let spec = try? TunnelSpec("\(number):\(number)")
      return spec?.description != (number < 1024 ? nil : "\(number):\(number)")
    }
    #expect(wrong == [])
  }
}
