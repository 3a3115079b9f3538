// What the doctor makes of answers.

import SpunnelCLI
import Testing

@testable import SpunnelSlurm
@testable import SpunnelSystem
@testable import SpunnelTunnel
@testable import spunnelctl

@Suite struct DoctorTests {
  private func said(_ text: String, _ status: Int = 0) -> Asked {
    .said(ProgramResult(status: status, output: text))
  }

  @Test(
    arguments: [
      ("sdiag output at Mon Nov 30 16:52:30 2026 (1000)\n", 1060, Check.Verdict.well),
      ("sdiag output at Mon Nov 30 16:52:30 2026 (1000)\n", 1061, .wrong),
      ("sdiag output at Mon Nov 30 16:52:30 2026 (1000)\n", 900, .wrong),
      ("sdiag: error\n", 1000, .unknown), ("", 1000, .unknown), ("output at )(", 0, .unknown),
    ])
  func clocksAreComparedWithSlurmctlds(text: String, now: Int, verdict: Check.Verdict) {
    #expect(SlurmChecks.clock(said(text), now: now).verdict == verdict)
  }

  @Test(
    arguments: [
      ("Slurmctld(primary) at login is UP\n", Check.Verdict.well),
      ("Slurmctld(primary) at a is DOWN\nSlurmctld(backup) at b is UP\n", .well),
      ("Slurmctld(primary) at login is DOWN\n", .wrong), ("", .wrong),
    ])
  func oneControllerThatAnswersIsEnough(text: String, verdict: Check.Verdict) {
    #expect(SlurmChecks.controller(said(text)).verdict == verdict)
  }

  @Test func aHostWithoutMungeIsSound() {
    #expect(SlurmChecks.munge(.nothing("no program 'munge' on PATH")).verdict == .absent)
    #expect(SlurmChecks.munge(said("munge: Error: no daemon\n", 6)).verdict == .wrong)
    #expect(SlurmChecks.munge(said("MUNGE:AwQ:\n")).verdict == .well)
  }

  private func ssh(_ line: String, _ way: Settings.Transport = .ssh) throws -> [Check] {
    NodeChecks.ssh(said(line, 255), try node(), way)
  }

  @Test func sshTellsOfKeyLoginAndForwarding() throws {
    let open =
      "channel 0: open failed: connect failed: Connection refused\r\nstdio forwarding failed\r\n"
    #expect(try ssh(open).map(\.verdict) == [.well, .well])
    let forbidden = "channel 0: open failed: administratively prohibited: open failed\r\n"
    #expect(try ssh(forbidden).map(\.verdict) == [.well, .wrong])
    let denied = "user1@n1: Permission denied (publickey).\r\n"
    #expect(try ssh(denied).map(\.verdict) == [.wrong])
    #expect(try ssh(denied, .auto).map(\.verdict) == [.well])
    let changed =
      "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\n"
    #expect(try ssh(changed, .auto).map(\.verdict) == [.wrong])
    let adopt =
      "Access denied by pam_slurm_adopt: you have no active jobs on this node\nConnection closed\n"
    #expect(try ssh(adopt).map(\.verdict) == [.well])
  }

  @Test func aTunnelThatFailedSaysWhy() throws {
    let check = NodeChecks.tunnel(
      .ssh, said("srun: error: spunnel: no tunnel: n1: said: do this\n"), try node())
    #expect(
      check.verdict == .wrong && check.found == "n1: said: do this" && check.advice == "do this")
    let open = said("srun: spunnel: localhost:4000 -> SOCKS, through n1\n")
    #expect(NodeChecks.tunnel(.ssh, open, try node()).verdict == .well)
    let busy = said("srun: error: Unable to allocate resources: Requested nodes are busy\n", 1)
    #expect(NodeChecks.tunnel(.srun, busy, try node()).verdict == .unknown)
  }

  @Test func theOptionIsLookedForInTheHelp() {
    #expect(PluginChecks.option(said("      --tunnel=spec     reach ports\n")).verdict == .well)
    let old =
      "srun: error: plugin /x/spunnel.so: Incompatible Slurm plugin version (22.05.8)\nUsage\n"
    let check = PluginChecks.option(said(old))
    #expect(check.verdict == .wrong && check.found.contains("Incompatible Slurm plugin version"))
  }

  @Test func logoutsAndLimitsAreJudged() {
    #expect(HostChecks.logout(nil).verdict == .well)
    #expect(HostChecks.logout(.lastLogout).advice == "loginctl enable-linger")
    #expect(HostChecks.logout(.logout("no bus")).found.hasSuffix("(KillUserProcesses): no bus"))
    #expect(HostChecks.limit("files", nil, 5, "nofile").verdict == .well)
    #expect(HostChecks.limit("files", 4, 5, "nofile").verdict == .wrong)
    #expect(HostChecks.mounts("# user_allow_other\n").found.hasPrefix("users cannot"))
    #expect(HostChecks.mounts(" user_allow_other\n").found.hasPrefix("user_allow_other is set"))
  }

  @Test func theBuildIsFoundInAProgramsFile() {
    #expect(InstallationChecks.mark(in: Array("ss spunnel-build<commit 1> x".utf8)) == "commit 1")
    #expect(InstallationChecks.mark(in: Array("sspunnel-build".utf8)) == nil)
  }

  @Test func theReportCountsWhatIsWrong() {
    let report = CheckReport(checks: [
      .well("a", "x", "yes"), .absent("a", "y", "none"), .wrong("b", "z", "no", "mend it"),
    ])
    #expect(!report.isWell)
    #expect(
      report.text
        == "a\n  ok      x: yes\n  -       y: none\nb\n  WRONG   z: no\n          do: mend it\n"
        + "1 wrong of 3 checks")
  }
}
