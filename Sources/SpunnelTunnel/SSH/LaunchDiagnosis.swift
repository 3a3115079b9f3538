// What keeps ssh from being started at all: it is this host's, and most of it does not pass by itself.

import Glibc
import SpunnelSystem

extension SSHDiagnosis {
  private init(unstartable said: String, advice: String, retry: Retry = .never) {
    self.init(said: said, advice: advice, retry: retry, isLocal: true)
  }

  /// ssh is not there.
  public static func missing(_ program: String) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable: "no program '\(printable(program))' is to be found",
      advice: "install the OpenSSH client, or set ssh_cmd= in plugstack.conf")
  }

  /// A program of the submit host that the way through srun needs is not there.
  public static func missingForSrun(_ program: String) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable: "no program '\(program)' is to be found", advice: "put it on PATH")
  }

  /// ssh could not be started.
  public static func unstarted(_ error: SystemError) -> SSHDiagnosis {
    error.isExhaustion
      ? SSHDiagnosis(
        unstartable: "\(error)",
        advice: "end some of your processes on this host, or ask for a higher limit",
        retry: .untilTimeout)
      : SSHDiagnosis(unstartable: "\(error)", advice: "ask your administrator")
  }

  /// Too few ports are free for another srun, and the user's own srun go first.
  package static func crowded(_ ports: SrunPorts, free: Int, needed: Int) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable:
        "SrunPortRange=\(ports.description) has \(free) free ports, and \(needed) are needed "
        + "so that your own srun find theirs",
      advice: SrunPorts.advice, retry: .briefly)
  }

  /// There is a path that no shell may see.
  public static func unsafe(_ path: UnsafePath) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable: "the path '\(printable(path.path))' cannot be handed to srun",
      advice: "choose one of letters, digits and /._+- alone, or set transport=ssh in "
        + "plugstack.conf")
  }

  /// There are no keys for the tunnel.
  public static func keyless(_ error: TunnelKeysError) -> SSHDiagnosis {
    SSHDiagnosis(
      unstartable: "no keys for the tunnel: \(error.said)",
      advice: "ask your administrator, or set transport=ssh in plugstack.conf")
  }
}
