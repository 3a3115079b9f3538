// When ssh is given up for srun, and when not.

import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct TransportChoiceTests {
  private func said(_ line: String) throws -> SSHDiagnosis {
    SSHDiagnosis(lines: [line], node: try #require(NodeName("n1")), exitCode: 255)
  }

  private static let refusals = [
    "ssh: connect to host n1 port 22: Connection refused",
    "ssh: connect to host n1 port 22: No route to host",
    "ssh: connect to host n1 port 22: Network is unreachable",
    "ssh: connect to host n1 port 22: Connection timed out",
    "ssh: Could not resolve hostname n1: Name or service not known",
    "alice@n1: Permission denied (publickey).",
    "alice@n1: Permission denied (publickey,password).",
    "alice@n1: Permission denied (keyboard-interactive).",
    "Host key verification failed.",
  ]
  /// It may be the node that does not know the job yet.
  private static let passing = [
    "Connection closed by 10.0.0.2 port 22", "Connection reset by 10.0.0.2 port 22",
    "Access denied by pam_slurm_adopt: you have no active jobs on this node",
  ]
  private static let errors = [
    "@       WARNING: REVOKED HOST KEY DETECTED!               @",
    "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
    "/home/alice/.ssh/config: line 1: Bad configuration option: foo",
    "channel 2: open failed: administratively prohibited: open failed",
    "no such identity",
  ]

  @Test(arguments: refusals)
  func whereTheNodeRefusesSshSrunIsTriedAtOnce(line: String) throws {
    var choice = TransportChoice(.auto)
    #expect(choice.current == .ssh)
    let told = choice.failed(try said(line), elapsed: 10)
    #expect(told == nil)
    #expect(choice.current == .srun)
  }

  @Test(arguments: passing)
  func aLoginThatIsClosedIsTriedAgainForAMoment(line: String) throws {
    var choice = TransportChoice(.auto)
    let early = choice.failed(try said(line), elapsed: 1999)
    #expect(early == (try said(line)))
    #expect(choice.current == .ssh)
    let late = choice.failed(try said(line), elapsed: 2000)
    #expect(late == nil)
    #expect(choice.current == .srun)
  }

  @Test(arguments: errors)
  func whatAPersonMustLookAtStaysAnError(line: String) throws {
    var choice = TransportChoice(.auto)
    let told = choice.failed(try said(line), elapsed: 9999)
    #expect(told == (try said(line)))
    #expect(choice.current == .ssh)
  }

  @Test(arguments: [(Settings.Transport.ssh, Transport.ssh), (.srun, .srun)])
  func aSitesChoiceStands(wanted: Settings.Transport, way: Transport) throws {
    var choice = TransportChoice(wanted)
    for _ in 0..<10 {
      #expect(choice.current == way)
      #expect(!choice.mayTurn)
      let told = choice.failed(try said(Self.refusals[0]), elapsed: 9999)
      #expect(told != nil)
    }
    choice.succeeded()
    for _ in 0..<10 { _ = choice.failed(try said(Self.refusals[0]), elapsed: 9999) }
    #expect(choice.current == way)
  }

  @Test func whenBothFailEachHasALine() throws {
    var choice = TransportChoice(.auto)
    _ = choice.failed(try said(Self.refusals[0]), elapsed: 1)
    let last = SSHDiagnosis(said: "srun: error: x", advice: "do y", retry: .never)
    let answer = choice.failed(last, elapsed: 2)
    let told = try #require(answer)
    #expect(
      told.message
        == "ssh: connect to host n1 port 22: Connection refused: no sshd answers on n1: ask your "
        + "administrator; nor through srun: srun: error: x: do y")
    #expect(
      SSHDiagnosis.reasons(in: told.message) == [
        "ssh: connect to host n1 port 22: Connection refused: no sshd answers on n1: ask your "
          + "administrator", "srun: error: x: do y",
      ])
    #expect(SSHDiagnosis.reasons(in: "n1: x; y") == ["n1: x; y"])
    #expect(told.retry == .never)
  }

  @Test func aTunnelThatWasUpKeepsItsWayUntilThreeFailures() throws {
    var choice = TransportChoice(.auto)
    choice.succeeded()
    #expect(!choice.mayTurn)
    let refusal = try said(Self.refusals[0])
    var ways: [Transport] = []
    for _ in 0..<7 {
      let told = choice.failed(refusal, elapsed: 99999)
      #expect(told == refusal)
      ways.append(choice.current)
    }
    #expect(ways == [.ssh, .ssh, .srun, .srun, .srun, .ssh, .ssh])
    choice.succeeded()
    _ = choice.failed(refusal, elapsed: 99999)
    _ = choice.failed(refusal, elapsed: 99999)
    #expect(choice.current == .ssh)
  }

  @Test func aTunnelThatWasUpDoesNotGiveSshUpForAnError() throws {
    var choice = TransportChoice(.auto)
    choice.succeeded()
    for _ in 0..<9 { _ = choice.failed(try said(Self.errors[1]), elapsed: 99999) }
    #expect(choice.current == .ssh)
  }
}
