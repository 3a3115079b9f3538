// Reasons why ssh cannot be started. The cause is on this host, and most causes do not pass by
// themselves.

import Glibc
import SpunnelSystem

extension SSHDiagnosis {
  private init(unstartable said: String, advice: String, retry: Retry = .never) {
    self.init(said: said, advice: advice, retry: retry, isLocal: true)
  }

  /// The ssh program is missing.
  public static func missing(_ program: String) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable: "program '\(printable(program))' was not found",
      advice: "install the OpenSSH client, or set ssh_cmd= in plugstack.conf")
  }

  /// A program that the way through srun needs is missing on the submit host.
  public static func missingForSrun(_ program: String) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable: "program '\(program)' was not found", advice: "put it on PATH")
  }

  /// The system could not start ssh.
  public static func unstarted(_ error: SystemError) -> SSHDiagnosis {
    error.isExhaustion
      ? SSHDiagnosis(
        unstartable: "\(error)",
        advice: "end some of your processes on this host, or ask for a higher limit",
        retry: .untilTimeout)
      : SSHDiagnosis(unstartable: "\(error)", advice: "ask your administrator")
  }

  /// Too few ports of `SrunPortRange` are free for another srun. The user's own srun commands come
  /// first.
  package static func crowded(_ ports: SrunPorts, free: Int, needed: Int) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable:
        "SrunPortRange=\(ports.description) has \(free) free ports, and \(needed) are needed "
        + "so that your own srun find theirs",
      advice: SrunPorts.advice, retry: .briefly)
  }

  /// A path contains characters that a shell may misread.
  public static func unsafe(_ path: UnsafePath) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable: "the path '\(printable(path.path))' cannot be handed to srun",
      advice: "choose one of letters, digits and /._+- alone, or set transport=ssh in "
        + "plugstack.conf")
  }

  /// The keys of the tunnel could not be made.
  public static func keyless(_ error: TunnelKeysError) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable: "no keys for the tunnel: \(error.said)",
      advice: "ask your administrator, or set transport=ssh in plugstack.conf")
  }
}
