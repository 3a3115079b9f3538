// The way through srun: a job step runs the user's own sshd, which connects back to the keeper.

import SpunnelSlurm
import SpunnelSystem

/// The arguments and the environment of srun and ssh on this way.
public struct SrunTransport: Equatable, Sendable {
  /// Variables that srun passes to the node (SpunnelNode/spunnel-sshd.c).
  static let hostKeyName = "SPUNNEL_HOST_KEY"
  static let clientKeyName = "SPUNNEL_CLIENT_KEY"
  static let callbackName = "SPUNNEL_CALLBACK"
  /// The program on the node. It is installed beside the keeper, on all hosts.
  public static let helperName = "spunnel-sshd"

  let job: UInt32
  let node: NodeName
  /// The absolute path of srun.
  let srun: String
  /// The absolute path of `spunnel-sshd`, the same on the node.
  let helper: String
  let keys: TunnelKeys

  /// - Throws: a path that a shell could misread
  public init(
    job: UInt32, node: NodeName, srun: String, helper: String, keys: TunnelKeys
  ) throws(UnsafePath) {
    for path in [srun, helper, keys.identity, keys.knownHosts] where !UnsafePath.allows(path) {
      throw UnsafePath(path: path)
    }
    self.job = job
    self.node = node
    self.srun = srun
    self.helper = helper
    self.keys = keys
  }

  /// The srun that runs the step.
  package var command: [String] { [srun] + step + [helper] }

  /// srun's options: one task that shares the job's resources and takes none of them (srun(1)).
  private var step: [String] {
    [
      "--jobid=\(job)", "--nodelist=\(node)", "-N1", "-n1", "--job-name=spunnel",
      // Share resources with the job's other steps.
      "--overlap", "--mem=0", "--gres=none", "--cpu-bind=none", "--mpi=none",
      // Without it srun holds back output until a line ends.
      "--unbuffered",
      // Pass nothing else of this host to the node.
      "--chdir=/", "--propagate=NONE",
      "--export=\(names.joined(separator: ","))",
      "--kill-on-bad-exit=0",
    ]
  }

  private var names: [String] {
    [SrunTransport.hostKeyName, SrunTransport.clientKeyName, SrunTransport.callbackName]
  }

  /// ssh's options for this way, as values of `-o`.
  ///
  /// - Parameters:
  ///   - timeout: how long srun waits, in seconds
  ///   - isDirect: whether ssh has a TCP connection to the node. Otherwise a stranger can stall
  ///     srun's I/O for five minutes, and neither end may give up sooner
  func options(timeout: Int, isDirect: Bool) -> [String] {
    let alive = isDirect ? KeepAlive.direct : .throughSrun
    return [
      // The connection is ssh's standard input and output (sshconnect.c, `ssh_connect`).
      "ProxyCommand=-", "ProxyUseFdpass=no",
      // Accept only the host key that was made for this tunnel.
      "HostKeyAlias=\(TunnelKeys.alias)", "StrictHostKeyChecking=yes",
      "UserKnownHostsFile=\(keys.knownHosts)", "GlobalKnownHostsFile=/dev/null",
      "CheckHostIP=no", "VerifyHostKeyDNS=no", "UpdateHostKeys=no",
      "IdentityFile=\(keys.identity)", "IdentitiesOnly=yes", "IdentityAgent=none",
      "PreferredAuthentications=publickey",
      "ConnectTimeout=\(timeout)", alive.intervalOption, alive.countOption,
      "Ciphers=^aes128-gcm@openssh.com",
    ]
  }

  /// The environment of srun, with the tunnel's keys.
  ///
  /// - Parameters:
  ///   - inherited: `NAME=value` entries
  ///   - callback: the address where the keeper waits (`Arrivals`); `nil` when the node must not
  ///     connect back
  public func environment(from inherited: [ByteString], callback: String?) -> [ByteString] {
    SrunTransport.cleaned(inherited) + [
      "\(SrunTransport.hostKeyName)=\(keys.hostKey)",
      "\(SrunTransport.clientKeyName)=\(keys.clientKey)",
    ] + (callback.map { ["\(SrunTransport.callbackName)=\($0)"] } ?? [])
  }

  /// An environment without variables that would make srun join another step or open a tunnel. It
  /// keeps the variables by which Slurm's commands find the cluster and authenticate.
  package static func cleaned(_ inherited: [ByteString]) -> [ByteString] {
    let foreign = ["SLURM", "SRUN_", "_SLURM", "SPUNNEL_"]
    let needed = ["SLURM_CONF=", "SLURM_CONF_SERVER=", "SLURM_JWT="]
    let kept = inherited.filter { entry in
      // Slurm's own srun sets this value on a configless cluster, where there is no file.
      if entry.hasPrefix("SLURM_CONF=(null)") { return false }
      return needed.contains { entry.hasPrefix($0) } || !foreign.contains { entry.hasPrefix($0) }
    }
    return SSHCommand.withShell(kept)
  }
}

extension SSHCommand {
  /// Plans the control master for the way through srun.
  ///
  /// ssh reads no configuration file: those of user and site describe hosts to log in to, and the
  /// job's sshd is none. Of the settings, `ssh_cmd=` applies and `ssh_args=` does not.
  public init(
    _ settings: Settings, controlPath: String, through srun: SrunTransport, isDirect: Bool = true
  ) {
    needsShell = false
    arguments =
      settings.sshCommand + SSHCommand.needed(controlPath) + ["-F", "none"]
      + SSHCommand.options(srun.options(timeout: settings.timeout, isDirect: isDirect))
      + ["--", srun.node.description]
  }
}

/// A path with characters other than letters, digits and `/._+-`.
public struct UnsafePath: Error, Equatable {
  let path: String

  static func allows(_ path: String) -> Bool {
    path.hasPrefix("/")
      && path.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."),
          UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}
