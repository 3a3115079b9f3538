// Which session is meant, what a command line of sessions means, and when a warning is due.

import SpunnelSession
import SpunnelSystem
import Testing

@testable import SpunnelSession

@Suite struct SessionChoiceTests {
  private func job(
    _ id: String, _ name: String = "session", _ phase: JobPhaseName = .running,
    kind: String = "shell", attached: String = ""
  ) -> SessionJob {
    var job = SessionJob(
      id: id, name: name, kind: kind, phase: phase == .running ? .running : .pending,
      state: phase == .running ? "RUNNING" : "PENDING")
    job.comment = attached.isEmpty ? SessionMark.comment : SessionMark.attached + attached
    return job
  }

  private enum JobPhaseName { case running, pending }

  @Test func theOnlyOneThatRunsIsRejoined() {
    let one = job("10")
    let all = [job("9", "a", .pending), one, job("11", kind: "desktop")]
    #expect(SessionChoice.choose(among: all, kind: "shell", hasTerminal: false) == .attach(one))
  }

  @Test func ofSeveralTheOneAttachedLast() {
    let one = job("9", attached: "2026-11-30T10:00:00.000Z")
    let two = job("10", attached: "2026-11-29T10:00:00.000Z")
    #expect(
      SessionChoice.choose(among: [two, one], kind: nil, hasTerminal: true) == .attachOfSeveral(one)
    )
    #expect(
      SessionChoice.choose(among: [two, one], kind: nil, hasTerminal: false)
        == .several([one, two]))
  }

  @Test func elseTheOneQueuedFirstByNumberNotByDigits() {
    let nine = job("9", "a", .pending)
    let ten = job("10", "b", .pending)
    #expect(SessionChoice.choose(among: [ten, nine], kind: nil, hasTerminal: true) == .wait(nine))
    #expect(SessionChoice.choose(among: [], kind: nil, hasTerminal: true) == .new)
  }

  @Test func aNumberIsAJobAndNeverAName() {
    let named = job("10", "12")
    #expect(SessionChoice.named("12", among: [named]).isEmpty)
    #expect(SessionChoice.named("10", among: [named]) == [named])
    #expect(SessionChoice.isJobNumber("12_3") && SessionChoice.isJobNumber("12+1"))
    #expect(!SessionChoice.isJobNumber("12a") && !SessionChoice.isJobNumber("_"))
  }

  @Test func aSessionIsKnownByItsCommandLine() {
    let line =
      "/opt/s/libexec/spunnel/session /opt/s/libexec/spunnel/spunnel-session hold shell -- x"
    #expect(SessionMark.kind(command: line) == "shell")
    #expect(SessionMark.kind(command: "/home/u/job.sh hold shell") == nil)
    #expect(SessionMark.kind(command: "/x/libexec/spunnel/session") == nil)
  }

  @Test func qconnectTakesTheFirstOfTheKindAndNamesJobsAsItDid() {
    let all = [job("10"), job("9"), job("8", "a", .pending, kind: "gui")]
    #expect(Qconnect.choose(among: all, .tmux)?.id == "9")
    #expect(Qconnect.choose(among: all, .gui)?.id == "8")
    #expect(Qconnect.choose(among: all, .vnc)?.id == "9")
    #expect(Qconnect.jobName("mine", program: "/usr/bin/rstudio", .gui) == "mine_rstudio_int_gui")
    #expect(Qconnect.jobName(nil, program: nil, .tmux) == "int_tmux")
    #expect(Qconnect.gigabytes("16GB") == 16 && Qconnect.gigabytes("16") == 16)
    #expect(Qconnect.gigabytes("lots") == nil && Qconnect.gigabytes("0") == nil)
  }
}

@Suite struct JobSSHTests {
  @Test func aHostsNameIsAJob() {
    #expect(JobSSH.job(of: "12.job") == "12")
    #expect(JobSSH.job(of: "thesis") == "thesis")
    #expect(JobSSH.isPlain("/home/u/.ssh/a_b+c-d.1"))
    #expect(!JobSSH.isPlain("/home/u u") && !JobSSH.isPlain("/h/$x") && !JobSSH.isPlain("h"))
  }

  @Test func onlyPlainKeysOfAuthorizedKeysLeadIntoJobs() {
    let text = """
      # a comment
      ssh-ed25519 AAAA me@laptop
      command="/bin/false" ssh-ed25519 BBBB
      restrict,pty ssh-rsa CCCC
      ssh-rsa DD;DD
      ecdsa-sha2-nistp256 EEEE
      """
    #expect(JobKeys.plainKeys(text) == ["ssh-ed25519 AAAA", "ecdsa-sha2-nistp256 EEEE"])
  }
}

@Suite struct TimeWarningsTests {
  @Test func eachMomentIsToldOnceAndAgainWhenTheLimitWasRaised() {
    var left: Int? = 3600
    let warnings = TimeWarnings { left }
    func look() -> String? {
      warnings.lookNow()
      return warnings.dueWarning()
    }
    #expect(look() == nil)
    left = 899
    #expect(look()?.contains("in 15 minutes") == true)
    #expect(look() == nil)
    left = 290
    #expect(look()?.contains("in 5 minutes") == true)
    left = 7200
    #expect(look() == nil)
    left = 100
    #expect(look()?.contains("in 2 minutes") == true)
    left = nil
    #expect(look() == nil)
  }

  @Test func theNextLookComesAtTheNextMoment() {
    #expect(TimeWarnings.pause(left: 1000) == 100_200)
    #expect(TimeWarnings.pause(left: 100_000) == 300_000)
    #expect(TimeWarnings.pause(left: 901) == 10_000)
    #expect(TimeWarnings.pause(left: nil) == 300_000)
  }

  @Test func aRecordIsReadAsItWasWritten() {
    let record = SessionRecord(
      kind: "jupyter",
      offer: SessionOffer(socket: "/tmp/a b/s", page: "/lab?token=x", facts: ["password": "p q"]),
      path: "/tmp/a b")
    #expect(SessionRecord(text: record.text) == record)
    #expect(SessionRecord(text: "kind shell") == nil)
  }
}
