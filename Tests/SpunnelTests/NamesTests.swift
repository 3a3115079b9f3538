// Names that come from Slurm, and text that goes to a terminal.

import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct NamesTests {
  @Test(arguments: ["n1", "node-01", "gpu_7", "a.b.example.org", "10.0.0.1", "N", "1", "_x"])
  func aHostNameIsANodeName(text: String) {
    #expect(NodeName(text)?.description == text)
  }

  @Test(arguments: [
    "", "-n1", "-oProxyCommand=x", "n 1", "n1\n", "n1,n2", "n[1-2]", "user@n1", "n1:22", "fe80::1",
    "n1/x", "n%h", "$HOME", "nœud", "n\u{0}", "n1;id", "`id`", "*",
  ])
  func anythingElseIsNone(text: String) {
    #expect(NodeName(text) == nil)
  }

  @Test func aNodeNameHasAtMost255Bytes() {
    #expect(NodeName(String(repeating: "n", count: 255)) != nil)
    #expect(NodeName(String(repeating: "n", count: 256)) == nil)
  }

  @Test(
    "a step is written as it is read",
    arguments: [
      ("1.0", 1, 0), ("4294967295.4294967295", .max, .max), ("17.4294967290", 17, 0xffff_fffa),
    ] as [(String, UInt32, UInt32)])
  func step(text: String, job: UInt32, step: UInt32) {
    #expect(StepName(text) == StepName(job: job, step: step))
    #expect(StepName(job: job, step: step).description == text)
  }

  @Test(arguments: [
    "", ".", "1", "1.", ".1", "1.2.3", "01.0", "1.00", "+1.0", "-1.0", "1.x", "1 .0", "1.0\n", "..",
    "4294967296.0", "1.4294967296", "99999999999999999999.0", "../1.0", "١.0",
  ])
  func noOtherTextIsAStep(text: String) {
    #expect(StepName(text) == nil)
  }

  @Test(
    arguments: [
      (0, "0"), (7, "7"), (0xffff_fffa, "interactive"), (0xffff_fffb, "batch"),
      (0xffff_fffc, "extern"),
    ] as [(UInt32, String)])
  func aStepIsLabelledAsSlurmDoes(step: UInt32, label: String) {
    let name = StepName(job: 1, step: step)
    #expect(name.stepLabel == label)
    #expect(name.isWholeJob == (label == "extern"))
    #expect(StepName(job: 1, label: label) == name)
  }

  @Test(arguments: ["", "x", "Batch", "batch ", "01", "-1", "4294967296", "1.0"])
  func anotherLabelIsNoStep(label: String) {
    #expect(StepName(job: 1, label: label) == nil)
  }

  @Test(arguments: ["n1", "10.0.0.1", "::1", "fe80::1", "2001:DB8::7", "::ffff:10.0.0.1", "::"])
  func aNameOrAnAddressIsAHost(text: String) throws {
    let host = try #require(HostName(text))
    #expect(host.description == text)
    #expect(host.bracketed == (text.contains(":") ? "[\(text)]" : text))
    #expect(!host.isLocal)
  }

  @Test(arguments: [
    "", ":", "[::1]", "-n1", "n1:80", "::g", "fe80::1%eth0", "a b", "n,1", "::1\n", "nœud",
    String(repeating: ":", count: 46),
  ])
  func anythingElseIsNoHost(text: String) {
    #expect(HostName(text) == nil)
  }

  @Test func localhostIsTheConnectingSide() throws {
    #expect(HostName.localhost.isLocal)
    #expect(try host("localhost") == .localhost)
    #expect(HostName(try node("n1")) == (try host("n1")))
  }

  @Test(
    arguments: [
      ("localhost", true), ("127.0.0.1", true), ("::1", true), ("0:0:0:0:0:0:0:1", true),
      ("0::0001", true), ("::ffff:127.0.0.1", false), ("::2", false), ("::", false),
      ("127.0.0.2", false), ("100::1", false), ("n1", false), ("1:", false),
    ])
  func theNodeItselfIsKnownByNameAndByAddress(text: String, isLoopback: Bool) throws {
    #expect(try host(text).isLoopback == isLoopback)
  }

  @Test func namesAreSeparatedByCommas() throws {
    #expect(NodeName.list("n1,n2")?.map(\.description) == ["n1", "n2"])
    for text in ["", ",", "n1,", ",n1", "n1,,n2", "n1, n2", "-n1"] {
      #expect(NodeName.list(text) == nil, "\(text)")
    }
  }
}

@Suite struct TextTests {
  @Test(
    arguments: [
      ("plain text: ünïcode ✓", "plain text: ünïcode ✓"),
      ("a\nb", "a?b"), ("a\r\nb", "a??b"), ("\u{1b}[31mred", "?[31mred"), ("\u{0}\u{7f}", "??"),
      ("\u{9b}31m", "?31m"), ("", ""),
    ])
  func printableTextHasNoControlCharacters(text: String, shown: String) {
    #expect(printable(text) == shown)
  }

  @Test func printableTextIsShort() {
    let full = String(repeating: "x", count: 200)
    #expect(printable(full) == full)
    #expect(printable(full + "y") == full + "…")
  }

  @Test(
    arguments: [
      ("0", 0), ("007", 7), ("9223372036854775807", .max), ("9223372036854775808", nil), ("", nil),
      ("+1", nil), ("-1", nil), ("1 ", nil), ("1_000", nil), ("٣", nil),
    ] as [(String, Int?)])
  func aWholeNumberIsDigitsAlone(text: String, number: Int?) {
    #expect(wholeNumber(text) == number)
  }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"),
      (7, "1970-01-01T00:00:00.007Z"),
      (951_827_696_789, "2000-02-29T12:34:56.789Z"),
      (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
      (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
    ])
  func aTimeIsWrittenAsRFC3339Does(milliseconds: Int, text: String) {
    #expect(timestamp(milliseconds) == text)
  }
}
