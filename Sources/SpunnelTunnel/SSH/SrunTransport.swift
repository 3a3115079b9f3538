// The way through srun: a job step runs an sshd of the user's own, which connects back to the keeper.

import SpunnelSlurm
import SpunnelSystem

/// What ssh and srun are told.
public struct SrunTransport: Equatable, Sendable {
  /// The names of what srun hands to the node in its environment (SpunnelNode/spunnel-sshd.c).
  static let hostKeyName = "SPUNNEL_HOST_KEY"
  static let clientKeyName = "SPUNNEL_CLIENT_KEY"
  static let callbackName = "SPUNNEL_CALLBACK"
  /// The program on the node; it lies beside the keeper, on all hosts.
  public static let helperName = "spunnel-sshd"

  let job: UInt32
  let node: NodeName
  /// Absolute path.
  let srun: String
  /// Absolute path of `spunnel-sshd`, the same on the node.
  let helper: String
  let keys: TunnelKeys

  /// - Throws: a path that the shell could take for something else
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

  /// The srun that holds the step.
  package var command: [String] { [srun] + step + [helper] }

  /// srun(1): one task beside whatever the job is doing, and nothing taken from it.
  private var step: [String] {
    [
      "--jobid=\(job)", "--nodelist=\(node)", "-N1", "-n1", "--job-name=spunnel",
      // Resources are shared with the job's other steps, not taken.
      "--overlap", "--mem=0", "--gres=none", "--cpu-bind=none", "--mpi=none",
      // Otherwise output is held back until a line ends.
      "--unbuffered",
      // Nothing of this host that the node need not have.
      "--chdir=/", "--propagate=NONE",
      "--export=\(names.joined(separator: ","))",
      "--kill-on-bad-exit=0",
    ]
  }

  private var names: [String] {
    [SrunTransport.hostKeyName, SrunTransport.clientKeyName, SrunTransport.callbackName]
  }

  /// What ssh needs for this way, as words for `-o`.
  ///
  /// - Parameters:
  ///   - timeout: seconds that srun waits
  ///   - isDirect: whether ssh speaks with the node itself; otherwise a stranger can stall srun for five
  ///     minutes, and neither end gives up in less
  func options(timeout: Int, isDirect: Bool) -> [String] {
    let alive = isDirect ? KeepAlive.direct : .throughSrun
    return [
      // The connection is ssh's standard input and output (sshconnect.c, `ssh_connect`).
      "ProxyCommand=-", "ProxyUseFdpass=no",
      // The key that was made for this tunnel, and no other.
      "HostKeyAlias=\(TunnelKeys.alias)", "StrictHostKeyChecking=yes",
      "UserKnownHostsFile=\(keys.knownHosts)", "GlobalKnownHostsFile=/dev/null",
      "CheckHostIP=no", "VerifyHostKeyDNS=no", "UpdateHostKeys=no",
      "IdentityFile=\(keys.identity)", "IdentitiesOnly=yes", "IdentityAgent=none",
      "PreferredAuthentications=publickey",
      "ConnectTimeout=\(timeout)", alive.intervalOption, alive.countOption,
      "Ciphers=^aes128-gcm@openssh.com",
    ]
  }

  /// The environment of that srun, with the keys and secrets.
  ///
  /// - Parameters:
  ///   - inherited: `NAME=value` entries
  ///   - callback: where the keeper waits (`Arrivals`); `nil`: the node's end is not to connect
  public func environment(from inherited: [ByteString], callback: String?) -> [ByteString] {
    SrunTransport.cleaned(inherited) + [
      "\(SrunTransport.hostKeyName)=\(keys.hostKey)",
      "\(SrunTransport.clientKeyName)=\(keys.clientKey)",
    ] + (callback.map { ["\(SrunTransport.callbackName)=\($0)"] } ?? [])
  }

  /// This process's own environment without what would make an srun part of another step, or open a
  /// tunnel of its own. How Slurm's commands find and ask the cluster stays.
  package static func cleaned(_ inherited: [ByteString]) -> [ByteString] {
    let foreign = ["SLURM", "SRUN_", "_SLURM", "SPUNNEL_"]
    let needed = ["SLURM_CONF=", "SLURM_CONF_SERVER=", "SLURM_JWT="]
    let kept = inherited.filter { entry in
      // Slurm's own srun writes this where it has no file (configless).
      if entry.hasPrefix("SLURM_CONF=(null)") { return false }
      return needed.contains { entry.hasPrefix($0) } || !foreign.contains { entry.hasPrefix($0) }
    }
    return SSHCommand.withShell(kept)
  }
}

extension SSHCommand {
  /// The way through srun. No configuration of the user's or the site's is read: it is for hosts that
  /// people log in to, and this is none. Of the settings `ssh_cmd=` holds, `ssh_args=` does not.
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

/// A path that is not only letters, digits and `/._+-`.
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
