// What OpenSSH says when it fails, quoted from 9.2, and what is made of it.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct SSHDiagnosisTests {
  typealias Case = DiagnosisCase

  @Test func aNodeBehindAJumpHostIsNamedByWhatTheJumpSaid() throws {
    let lines = [
      "channel 3: open failed: connect failed: Connection timed out",
      "channel 0: open failed: connect failed: Connection refused", "stdio forwarding failed",
      "kex_exchange_identification: Connection closed by remote host",
      "Connection closed by UNKNOWN port 65535",
    ]
    let node = try #require(NodeName("n1"))
    let jumped = SSHDiagnosis(lines: SSHDiagnosis.reasons(lines), node: node, exitCode: 255)
    #expect(jumped.said == "channel 0: open failed: connect failed: Connection refused")
    #expect(jumped.retry == .briefly)
    // Without a jump a connection that a service refused is no reason.
    #expect(SSHDiagnosis.reasons(Array(lines[...1])) == [])
    #expect(SSHDiagnosis.reasons([]) == [])
  }

  @Test(
    arguments: [
      (0, "host key of n1 is unknown: run ssh n1 once"),
      (1, "host key of ::1 is unknown: run ssh ::1 once"),
      (2, "host key of gate is unknown: run ssh -p 2222 me@gate once"),
      (3, "host key of n1 is unknown"),
    ])
  func theHostWhoseKeyIsUnknownIsNamed(distance: Int, advice: String) throws {
    // Each ssh after the one that failed says of its way that it was closed.
    let closed = ["kex_exchange_identification: closed", "Connection closed by UNKNOWN port 65535"]
    let lines =
      ["Host key verification failed."] + (0..<distance).flatMap { _ in closed }
    let diagnosis = SSHDiagnosis(
      lines: lines, node: try node(), exitCode: 255, over: JumpHosts("me@gate:2222,[::1]"))
    #expect(diagnosis.advice.contains(advice))
  }

  @Test func aHostThatTheLastJumpDoesNotReachIsTheNode() throws {
    let lines = [
      "channel 0: open failed: connect failed: Connection refused", "stdio forwarding failed",
      "kex_exchange_identification: Connection closed by remote host",
      "Connection closed by UNKNOWN port 65535",
    ]
    let diagnosis = SSHDiagnosis(
      lines: lines, node: try node(), exitCode: 255, over: JumpHosts("gate"))
    #expect(diagnosis.advice.contains("no sshd answers on n1"))
  }

  private static let cases: [Case] = [
    Case(
      name: "key refused", lines: ["alice@n1: Permission denied (publickey)."],
      said: "alice@n1: Permission denied (publickey)", advice: "took none of your keys",
      retry: .briefly),
    Case(
      name: "host key unknown", lines: ["Host key verification failed."],
      said: "Host key verification failed", advice: "host key of n1 is unknown", retry: .never),
    Case(
      name: "host key unknown and strict",
      lines: [
        "No ED25519 host key is known for [n1]:22201 and you have requested strict checking.",
        "Host key verification failed.",
      ],
      said: "Host key verification failed", advice: "host key of n1 is unknown", retry: .never),
    Case(
      name: "host key changed",
      lines: [
        "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
        "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
        "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!",
        "Someone could be eavesdropping on you right now (man-in-the-middle attack)!",
        "It is also possible that a host key has just been changed.",
        "The fingerprint for the ED25519 key sent by the remote host is",
        "SHA256:puiD6TeuViocnRiXCqyKXFI0RFG3bbWQJOO0tq+Xki8.",
        "Please contact your system administrator.",
        "Add correct host key in /home/alice/.ssh/known_hosts to get rid of this message.",
        "Offending ED25519 key in /home/alice/.ssh/known_hosts:1",
        "  remove with:",
        "  ssh-keygen -f \"/home/alice/.ssh/known_hosts\" -R \"n1\"",
        "Host key for n1 has changed and you have requested strict checking.",
        "Host key verification failed.",
      ],
      said: "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!", advice: "ssh-keygen -R n1",
      retry: .never),
    Case(
      name: "no job on the node, as pam_slurm_adopt says it",
      lines: [
        "Access denied by pam_slurm_adopt: you have no active jobs on this node",
        "Connection closed by 10.0.0.2 port 22",
      ],
      said: "Access denied by pam_slurm_adopt: you have no active jobs on this node",
      advice: "does not know the job yet", retry: .untilTimeout),
    Case(
      name: "refused", lines: ["ssh: connect to host n1 port 22: Connection refused"],
      said: "ssh: connect to host n1 port 22: Connection refused", advice: "no sshd answers on n1",
      retry: .briefly),
    Case(
      name: "unknown name",
      lines: ["ssh: Could not resolve hostname n1: Name or service not known"],
      said: "ssh: Could not resolve hostname n1: Name or service not known",
      advice: "no address for n1", retry: .never),
    Case(
      name: "timeout", lines: ["ssh: connect to host n1 port 22: Connection timed out"],
      said: "ssh: connect to host n1 port 22: Connection timed out", advice: "raise timeout=",
      retry: .briefly),
    Case(
      name: "timeout after the connection",
      lines: [
        "Connection timed out during banner exchange", "Connection to 10.0.0.2 port 22 timed out",
      ],
      said: "Connection timed out during banner exchange", advice: "raise timeout=", retry: .briefly
    ),
    Case(
      name: "no route", lines: ["ssh: connect to host n1 port 22: No route to host"],
      said: "ssh: connect to host n1 port 22: No route to host", advice: "down or cut off",
      retry: .briefly),
    Case(
      name: "unreachable", lines: ["ssh: connect to host n1 port 22: Network is unreachable"],
      said: "ssh: connect to host n1 port 22: Network is unreachable", advice: "not reachable",
      retry: .briefly),
    Case(
      name: "forwarding forbidden",
      lines: ["channel 2: open failed: administratively prohibited: open failed"],
      said: "channel 2: open failed: administratively prohibited: open failed",
      advice: "AllowTcpForwarding", retry: .never),
    Case(
      name: "closed before the greeting",
      lines: [
        "kex_exchange_identification: Connection closed by remote host",
        "Connection closed by 10.0.0.2 port 22",
      ],
      said: "Connection closed by 10.0.0.2 port 22", advice: "closed the connection",
      retry: .untilTimeout),
    Case(
      name: "reset", lines: ["Connection reset by 10.0.0.2 port 22"],
      said: "Connection reset by 10.0.0.2 port 22", advice: "closed the connection",
      retry: .untilTimeout),
    Case(
      name: "bad option on the command line",
      lines: ["command-line: line 0: Bad configuration option: foo"],
      said: "command-line: line 0: Bad configuration option: foo", advice: "mend ~/.ssh/config",
      retry: .never),
    Case(
      name: "bad option in a file",
      lines: [
        "/home/alice/.ssh/config: line 1: Bad configuration option: foo",
        "/home/alice/.ssh/config: terminating, 1 bad configuration options",
      ],
      said: "/home/alice/.ssh/config: line 1: Bad configuration option: foo",
      advice: "mend ~/.ssh/config", retry: .never),
    Case(
      name: "bad value in a file",
      lines: [
        "/home/alice/.ssh/config line 1: Bad port 'x'.",
        "/home/alice/.ssh/config: terminating, 1 bad configuration options",
      ],
      said: "/home/alice/.ssh/config line 1: Bad port 'x'", advice: "mend ~/.ssh/config",
      retry: .never),
    Case(
      name: "something else", lines: ["Pseudo-terminal will not be allocated", "no such identity"],
      said: "no such identity", advice: "see whether ssh n1 works", retry: .never),
  ]

  @Test("the line that matters, the next step, and whether to try again", arguments: cases)
  func known(testCase: Case) throws {
    let node = try #require(NodeName("n1"))
    let diagnosis = SSHDiagnosis(lines: testCase.lines, node: node, exitCode: 255)
    #expect(diagnosis.said == testCase.said)
    #expect(diagnosis.advice.contains(testCase.advice))
    #expect(diagnosis.retry == testCase.retry)
    #expect(diagnosis.message == "\(diagnosis.said): \(diagnosis.advice)")
    #expect(!diagnosis.message.contains { $0.isNewline })
  }

  @Test func whenNothingWasSaidTheStatusIsTold() throws {
    let node = try #require(NodeName("n1"))
    for (code, said) in [
      (0, "ssh ended with status 0"), (255, "ssh ended with status 255"),
      (129, "ssh was killed by signal 1"), (137, "ssh was killed by signal 9"),
    ] {
      let diagnosis = SSHDiagnosis(lines: [], node: node, exitCode: code)
      #expect(diagnosis.said == said)
      #expect(diagnosis.retry == .never)
    }
  }

  @Test(
    arguments: [
      ("Connection refused", "refused", true), ("refused", "refused", true),
      ("rerefused", "refused", true), ("refuse", "refused", false), ("", "refused", false),
      ("refused", "", true), ("", "", true), ("Caf\u{65}\u{301}", "\u{e9}", false),
    ])
  func wordsAreFoundByTheirBytes(_ line: String, _ words: String, _ isThere: Bool) {
    #expect(line.mentions(words) == isThere)
  }

  @Test func whatSshSaysCannotMoveTheCursor() throws {
    let node = try #require(NodeName("n1"))
    let lines = ["\u{1b}[2J\u{7}a@n1: Permission denied (publickey)."]
    let diagnosis = SSHDiagnosis(lines: lines, node: node, exitCode: 255)
    #expect(diagnosis.said == "?[2J?a@n1: Permission denied (publickey)")
  }

  @Test(
    arguments: [
      (EAGAIN, SSHDiagnosis.Retry.untilTimeout), (EMFILE, .untilTimeout), (ENOMEM, .untilTimeout),
      (EACCES, .never), (ENOEXEC, .never),
    ])
  func aLimitThatIsReachedMayPassAndIsNoRefusalOfTheNode(code: CInt, retry: SSHDiagnosis.Retry) {
    let diagnosis = SSHDiagnosis.unstarted(SystemError("start /usr/bin/ssh", code))
    #expect(diagnosis.retry == retry)
    #expect(!diagnosis.isRefusal)
  }

  @Test func aMissingProgramIsNamed() {
    let diagnosis = SSHDiagnosis.missing("/opt/ssh\n")
    #expect(diagnosis.said.contains("'/opt/ssh?'"))
    #expect(diagnosis.retry == .never)
  }
}
