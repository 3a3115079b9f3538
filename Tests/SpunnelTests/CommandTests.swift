// The lines over the lifeline and the command socket.

import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct KeeperCommandTests {
  @Test(
    arguments: [
      ("probe", nil, nil), ("open 8001:8000", "8001:8000", false),
      ("hold 0:+1:auto,R:9000:9001", "0:+1:auto,R:9000:9001", true),
    ] as [(String, String?, Bool?)])
  func aCommandSurvivesItsLine(line: String, spec: String?, isHeld: Bool?) throws {
    let command = KeeperCommand(line: line)
    if let spec, let isHeld {
      #expect(command == .open(try TunnelSpec(spec), isHeld: isHeld))
    } else {
      #expect(command == .probe)
    }
    #expect(command?.line == line + "\n")
  }

  @Test func closingNamesWhatIsClosed() throws {
    let command = KeeperCommand.close(try TunnelSpec("8001:8000,D:1080"))
    #expect(command.line == "close 8001:8000,D:1080\n")
    #expect(KeeperCommand(line: "close 8001:8000,D:1080") == command)
  }

  @Test(arguments: [
    "", " ", "probe ", "probe 8001:80", " probe", "Probe", "open", "open ", "open 8001:80 ",
    "open  8001:80", "open 80:80", "open 8001:80 8002:80", "close", "close x", "hold", "hold all",
    "reopen 8001:80", "probe\n", "open 8001:80\r",
  ])
  func anotherLineIsNoCommand(line: String) {
    #expect(KeeperCommand(line: line) == nil)
  }
}

@Suite struct KeeperReportTests {
  private static let several = "8001:n1:8000,/tmp/s:n2:/run/d,R:9000:5432,D:1080,0:n2:80"

  @Test(
    arguments: [
      .done, .bound([]), .ready([]), .failed("n1: no route: ask"), .failed(""),
      .failed("ready"), .over("srun ended"), .over(""),
      .news(KeeperNews(.lost, "the connection to n1 is lost: n1: no route")),
    ] as [KeeperReport])
  func aReportSurvivesItsLine(report: KeeperReport) throws {
    try expectSurvival(report)
  }

  @Test func whatWaitsSurvivesItsLine() throws {
    let spec = try TunnelSpec("8001:8000,R:9000:5432,:all:8000")
    try expectSurvival(.waiting(spec))
    try expectSurvival(.closed(spec))
  }

  @Test func forwardsSurviveTheirLine() throws {
    let forwards = try forwards(Self.several, nodes: "n1,n2")
    try expectSurvival(.bound(forwards))
    try expectSurvival(.ready(forwards))
    #expect(
      KeeperReport.ready(Array(forwards.prefix(2))).line
        == "ready local n1 8001 localhost 8000,local n2 /tmp/s localhost /run/d\n")
  }

  private func expectSurvival(_ report: KeeperReport) throws {
    #expect(report.line.last == "\n")
    #expect(report.line.count { $0.isNewline } == 1)
    #expect(KeeperReport(line: String(report.line.dropLast())) == report)
  }

  @Test(arguments: [
    "", "Ready", "readyfailed x", "fail x", "ready x", "ready 8001:80", "done\n",
    "ready local n1 8001 localhost", "bound local n1 8001 localhost 80,x", "overdue", "ready\n",
    "waiting", "waiting ", "waiting 80:80", "waiting 8001:80 ", "closed", "closed x", "news",
    "news lost", "news found it",
  ])
  func anotherLineIsNoReport(line: String) {
    #expect(KeeperReport(line: line) == nil)
  }
}

@Suite struct JobNewsTests {
  @Test func everyLineOfTheWatchIsRead() throws {
    #expect(JobNews(line: "pending") == .pending)
    #expect(JobNews(line: "running n1") == .running(try nodes("n1")))
    #expect(JobNews(line: "running n1,n2,gpu-3") == .running(try nodes("n1,n2,gpu-3")))
    #expect(JobNews(line: "over COMPLETED, exit code 0") == .over("COMPLETED, exit code 0"))
    #expect(JobNews(line: "over") == .over(""))
    #expect(JobNews(line: "lost Unable to contact\u{1b}") == .lost("Unable to contact?"))
  }

  @Test(arguments: [
    "", " ", "running", "running ", "running n1,", "running ,n1", "running n1,,n2", "running -n1",
    "running n1 n2", "run n1", "Pending", "pendingx", "running n1\n",
  ])
  func anotherLineIsNoNews(line: String) {
    #expect(JobNews(line: line) == nil)
  }
}
