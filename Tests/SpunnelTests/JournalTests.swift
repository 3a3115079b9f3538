// Lines for syslog and for Prometheus.

import Glibc
import Testing

@testable import SpunnelSlurm
@testable import SpunnelSystem
@testable import SpunnelTunnel
@testable import spunnelctl

@Suite struct JournalTests {
  private let step = StepName(job: 12, step: 0)

  private func host(_ count: Int = 1) throws -> HostFile {
    HostFile(
      nodes: try nodes("n1,n2"),
      forwards: try (0..<count).map { try forward("\(8001 + $0):8000") })
  }

  @Test func aLineTellsWhoHadWhichPort() throws {
    var status = Status()
    (status.accepted, status.sent, status.received, status.transport) = (3, 10, 20, .srun)
    #expect(
      TunnelJournal.beginning(step, user: 7, try host(), status)
        == "begin uid=7 job=12 step=0 nodes=n1,n2 forwards=8001:n1:8000 transport=srun")
    #expect(
      TunnelJournal.ending(
        step, user: 7, try host(), status, seconds: 5, reason: "closed \"so\"\n")
        == "end uid=7 job=12 step=0 nodes=n1,n2 forwards=8001:n1:8000 seconds=5 connections=3 refused=0 "
        + "sent=10 received=20 reason=\"closed 'so'?\"")
  }

  @Test func manyForwardsAreCounted() throws {
    let line = TunnelJournal.beginning(step, user: 7, try host(40), Status())
    #expect(line.hasSuffix("8012:n1:8000,+28 transport=ssh") && line.utf8.count < 900)
  }

  @Test func aLineIsAsSyslogWritesIt() {
    #expect(
      SystemLog.line("begin", .local7, pid: 12, time: "Nov 30 16:52:30")
        == "<190>Nov 30 16:52:30 spunnel[12]: begin")
    #expect(SystemLog.line("x", .user, pid: 1, time: "t").hasPrefix("<14>"))
  }

  @Test func theSiteChoosesFacilityAndInterval() throws {
    #expect(try Settings(arguments: []).syslog == .user)
    #expect(try Settings(arguments: ["syslog=off"]).syslog == nil)
    #expect(try Settings(arguments: ["syslog=local3", "poll=60"]).syslog == .local3)
    for wrong in ["syslog=mail", "syslog", "poll=0", "poll=601", "poll=x"] {
      #expect(throws: SettingsError.self) { try Settings(arguments: [wrong]) }
    }
  }

  @Test func metricsAreBoundedAndEscaped() throws {
    let views = (0..<150).map { user in
      RecordView(
        step: step, user: uid_t(user), host: nil, isHeld: true, status: Status(),
        state: user == 0 ? nil : .up)
    }
    let text = Metrics(views + [views[3]], problems: 2) { $0 == 3 ? "a\"b" : "u\($0)" }.text
    #expect(text.contains("spunnel_tunnels{state=\"up\"} 150\n"))
    #expect(text.contains("spunnel_user_tunnels{user=\"a\\\"b\"} 2\n"))
    #expect(text.contains("spunnel_user_tunnels{user=\"(others)\"} 50\n"))
    #expect(text.hasSuffix("spunnel_problems 2"))
    #expect(text.split(separator: "\n").count < 700)
  }
}
