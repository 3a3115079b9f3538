// The way through srun: ssh's ProxyCommand is a job step that runs an sshd of the user's own.

import SpunnelSlurm
import SpunnelSystem

/// What ssh and srun are told.
public struct SrunTransport: Equatable, Sendable {
  /// The names of what srun hands to the node in its environment (SpunnelNode/spunnel-sshd.c).
  static let hostKeyName = "SPUNNEL_HOST_KEY"
  static let clientKeyName = "SPUNNEL_CLIENT_KEY"
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

  /// ssh hands this to a shell (ssh_config(5), `ProxyCommand`), so it is made of safe words alone.
  ///
  /// At its end ssh sends HUP to the command, and srun would take that for an order to kill the
  /// step. A shell that ignores it stands between: srun sees the end of its input instead, sshd
  /// does, and the step ends in order. `exit` keeps the shell from becoming srun.
  var proxyCommand: String {
    let words = [srun] + step + [helper]
    return "/bin/sh -c \"trap '' HUP; \(words.joined(separator: " ")); exit\""
  }

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
      "--export=\(SrunTransport.hostKeyName),\(SrunTransport.clientKeyName)",
      "--kill-on-bad-exit=0",
    ]
  }

  /// What ssh needs for this way, as words for `-o`.
  ///
  /// - Parameter timeout: seconds that srun waits
  func options(timeout: Int) -> [String] {
    [
      "ProxyCommand=\(proxyCommand)",
      // The key that was made for this tunnel, and no other.
      "HostKeyAlias=\(TunnelKeys.alias)", "StrictHostKeyChecking=yes",
      "UserKnownHostsFile=\(keys.knownHosts)", "GlobalKnownHostsFile=/dev/null",
      "CheckHostIP=no", "VerifyHostKeyDNS=no", "UpdateHostKeys=no",
      "IdentityFile=\(keys.identity)", "IdentitiesOnly=yes", "IdentityAgent=none",
      "PreferredAuthentications=publickey",
      "ConnectTimeout=\(timeout)", "ServerAliveInterval=15", "ServerAliveCountMax=3",
      "Ciphers=^aes128-gcm@openssh.com",
    ]
  }

  /// The environment of that ssh, and so of srun: this process's own, without what would make srun
  /// part of another step or open a tunnel of its own, and with the keys.
  ///
  /// - Parameter inherited: `NAME=value` entries
  public func environment(from inherited: [ByteString]) -> [ByteString] {
    let foreign = ["SLURM", "SRUN_", "_SLURM", "SPUNNEL_"]
    let kept = inherited.filter { entry in
      entry.hasPrefix("SLURM_CONF=") || !foreign.contains { entry.hasPrefix($0) }
    }
    return SSHCommand.withShell(kept) + [
      "\(SrunTransport.hostKeyName)=\(keys.hostKey)",
      "\(SrunTransport.clientKeyName)=\(keys.clientKey)",
    ]
  }
}

extension SSHCommand {
  /// The way through srun. No configuration of the user's or the site's is read: it is for hosts that
  /// people log in to, and this is none. Of the settings `ssh_cmd=` holds, `ssh_args=` does not.
  public init(_ settings: Settings, controlPath: String, through srun: SrunTransport) {
    needsShell = true
    arguments =
      settings.sshCommand + SSHCommand.needed(controlPath) + ["-F", "none"]
      + SSHCommand.options(srun.options(timeout: settings.timeout))
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
