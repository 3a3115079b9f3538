// What a logout ends: control groups, logind's answers, and what the user is told.

import SpunnelSystem
import Testing

@testable import SpunnelTunnel

@Suite struct LogoutTests {
  @Test(arguments: [
    ("0::/user.slice/user-1000.slice/session-3.scope\n", LoginUnit.session),
    ("0::/user.slice/user-1000.slice/session-c12.scope\n", .session),
    // Both versions side by side, as on older systems.
    (
      "12:pids:/user.slice/user-1000.slice/session-3.scope\n"
        + "1:name=systemd:/user.slice/user-1000.slice/session-3.scope\n0::/\n", .session
    ),
    ("1:name=systemd:/\n0::/user.slice/user-1000.slice/session-3.scope\n", .session),
    ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n", .manager),
    ("0::/user.slice/user-1000.slice/user@1000.service/session-3.scope\n", .manager),
    // Slurm's and sshd's, and a host without systemd.
    ("0::/system.slice/slurmstepd.scope/job_12/step_0/user/task_0\n", .other),
    ("0::/system.slice/ssh.service\n", .other), ("0::/\n", .other),
    ("0::/../../user.slice\n", .other), ("12:pids:/session-3.scope\n", .other),
    ("0::/system.slice/x.service/session-3.scope\n", .other), ("", .other), ("0:\n", .other),
  ])
  func theUnitIsReadFromTheControlGroups(groups: String, unit: LoginUnit) {
    #expect(LoginUnit(groups: groups) == unit)
  }

  @Test func aProcessThatIsGoneIsInNoLogin() {
    #expect(LoginUnit(of: "4194305") == .other)
    #expect(Logout.danger(to: 4_194_305) == nil)
  }

  @Test(arguments: [
    ("b false\nas 0\nas 0\n", false), ("b true\nas 0\nas 0\n", true),
    ("b true\nas 0\nas 1 \"root\"\n", true),
    ("b true\nas 0\nas 2 \"root\" \"user1\"\n", false),
    ("b true\nas 1 \"user1\"\nas 1 \"root\"\n", true),
    ("b true\nas 2 \"user2\" \"user11\"\nas 0\n", false),
    ("b true\nas 1 \"user1\"\nas 1 \"user1\"\n", false),
    ("b false\nas 1 \"user1\"\nas 0\n", false),
  ])
  func logindsRulesSayWhoseRemainsAreKilled(answer: String, kills: Bool) throws {
    #expect(try #require(LogoutRules(answer)).kills("user1") == kills)
  }

  @Test(arguments: ["", "b true\n", "Access denied\n", "s \"x\"\nas 0\nas 0\n"])
  func whatIsNoAnswerIsNone(text: String) { #expect(LogoutRules(text) == nil) }

  @Test func theLineSaysHowLongAndWhatToDo() throws {
    let spec = try TunnelSpec("8001:8000,:9000")
    let start =
      "job 12 has its tunnel until you log out: \(Host.name) ends what you leave behind "
    let again = "spunnelctl open 12 8001:8000,0:9000 after your next login"
    #expect(
      Logout.Danger.lastLogout.line(12, spec)
        == start + "(logind, without linger): type loginctl enable-linger to keep it, or \(again)")
    #expect(
      Logout.Danger.logout(nil).line(12, spec)
        == start + "(logind's KillUserProcesses): type \(again)")
    #expect(
      Logout.Danger.logout("not found").line(12, spec)
        == start + "(logind's KillUserProcesses), and your service manager cannot keep it "
        + "(not found): type \(again)")
  }
}
