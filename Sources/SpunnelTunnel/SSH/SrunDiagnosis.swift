// Explains why the way through srun failed. The messages of srun, of the program on the node and of
// its sshd are quoted from Slurm 22.05 to 26.05 and OpenSSH 9.2.

import SpunnelSystem

extension SSHDiagnosis {
  private struct Sign: Sendable {
    let sign: String
    let advice: @Sendable (SrunTransport) -> String
    let retry: Retry
  }

  /// Messages of a job that has ended. No transport reaches it any more.
  private static let ends = [
    "already completing or completed", "Invalid job id", "has expired", "Expired or invalid job",
  ]

  private static let gone: @Sendable (SrunTransport) -> String = { "job \($0.job) has ended" }

  private static let signs: [Sign] =
    ends.map { Sign(sign: $0, advice: gone, retry: .never) } + [
      // This line names the cause. srun's last line only names the effect.
      Sign(
        sign: "all ports in range",
        advice: { _ in SrunPorts.advice }, retry: .untilTimeout),
      Sign(
        sign: "Requested nodes are busy",
        advice: { "another step holds job \($0.job) for itself: start it with --overlap" },
        retry: .never),
      Sign(
        sign: "step creation temporarily disabled",
        advice: { _ in "Slurm starts no step now: try again, or raise timeout=" },
        retry: .untilTimeout),
      Sign(
        sign: "step creation still disabled",
        advice: { _ in "Slurm starts no step now: try again, or raise timeout=" },
        retry: .untilTimeout),
      Sign(
        sign: "Unable to create step",
        advice: { "see whether srun --overlap --jobid=\($0.job) -w \($0.node) hostname works" },
        retry: .never),
      Sign(
        sign: "Task launch for",
        advice: { "\($0.node) does not start the step: ask your administrator" },
        retry: .briefly),
      Sign(
        sign: "execve(): ",
        advice: { "install Spunnel on \($0.node) too, as '\($0.helper)'" }, retry: .never),
      Sign(
        sign: "Missing privilege separation directory",
        advice: { "ask your administrator to make it on \($0.node)" }, retry: .never),
      Sign(
        sign: "not allowed because",
        advice: { "ask your administrator to mend your account on \($0.node)" }, retry: .never),
      Sign(
        sign: "onfiguration option",
        advice: { "the sshd of \($0.node) is too old: ask your administrator" }, retry: .never),
      Sign(
        sign: "verification failed",
        advice: {
          "what answers on \($0.node) is not what Spunnel started: tell your administrator"
        },
        retry: .never),
      Sign(
        sign: "Permission denied (",
        advice: { "the sshd of \($0.node) did not take the tunnel's key: ask your administrator" },
        retry: .never),
    ]

  /// Lines that appear even if nothing is wrong.
  private static let chatter = [
    "channel ", "connect_to ", "Accepted publickey for ", "Received disconnect from ",
    "Disconnected from ", "rexec line ", "/proc/", detour,
    "srun: cluster configuration lacks support for cpu binding",
  ]

  /// The beginning of the line in which the node's program says that it uses srun's own I/O.
  private static let detour = "\(SrunTransport.helperName): cannot connect back to "

  /// Why a tunnel goes through srun's own I/O.
  ///
  /// - Parameter line: one line of srun's standard error
  /// - Returns: the reason; `nil` when the line says nothing of it
  package static func detour(_ line: String) -> String? {
    guard line.hasPrefix(detour) else { return nil }
    return "cannot connect back to " + plain(String(line.dropFirst(detour.count)))
  }

  /// Explains a failed attempt through srun.
  ///
  /// - Parameters:
  ///   - lines: what srun, sshd and ssh said, in order
  ///   - srun: the way to the node
  ///   - exitCode: the exit code of `program`, used when nothing was said
  ///   - program: the program that ended: ssh, or srun if ssh had not started
  public init(
    lines: [String], through srun: SrunTransport, exitCode: Int, of program: String = "ssh"
  ) {
    let helper = "\(SrunTransport.helperName): "
    if let line = lines.last(where: {
      $0.hasPrefix(helper) && !$0.hasPrefix(SSHDiagnosis.detour)
    }) {
      self.init(helperSaid: String(line.dropFirst(helper.count)), srun)
      return
    }
    for sign in SSHDiagnosis.signs {
      guard let line = lines.last(where: { $0.mentions(sign.sign) }) else { continue }
      self.init(said: SSHDiagnosis.plain(line), advice: sign.advice(srun), retry: sign.retry)
      return
    }
    let reasons = lines.filter { line in
      !SSHDiagnosis.chatter.contains { line.hasPrefix($0) }
    }
    self.init(
      said: reasons.last.map(SSHDiagnosis.plain) ?? SSHDiagnosis.end(exitCode, of: program),
      advice: "see whether srun --overlap --jobid=\(srun.job) -w \(srun.node) hostname works",
      retry: .briefly)
  }

  /// Explains an srun that has not reached the node in time.
  ///
  /// - Parameters:
  ///   - lines: what srun has said so far
  ///   - srun: the way to the node
  ///   - seconds: the time limit
  public init(lines: [String], pending srun: SrunTransport, seconds: Int) {
    let spoken = SSHDiagnosis(lines: lines, through: srun, exitCode: 0)
    let isSilent = spoken.said == SSHDiagnosis.end(0)
    self.init(
      said: isSilent ? "no answer within \(seconds) seconds" : spoken.said,
      advice: spoken.advice, retry: spoken.retry)
  }

  /// Reads a line of the node's program, which ends with advice after its last `: `.
  private init(helperSaid line: String, _ srun: SrunTransport) {
    let plain = SSHDiagnosis.plain(line)
    guard let end = plain.indices.last(where: { plain[$0...].hasPrefix(": ") }) else {
      self.init(said: "\(srun.node): \(plain)", advice: "ask your administrator", retry: .never)
      return
    }
    self.init(
      said: "\(srun.node): \(plain[..<end])", advice: String(plain[end...].dropFirst(2)),
      retry: .never)
  }

  /// Whether the job has ended, and every tunnel into it with it.
  public var jobIsGone: Bool { SSHDiagnosis.ends.contains { said.mentions($0) } }
}
