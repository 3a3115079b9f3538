// The cluster's own sshd_config, ssh_config and known_hosts as text.

import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// The configuration of ssh and sshd for tunnels into the cluster's jobs.
public struct ClusterSSH: Sendable {
  public let layout: Layout
  /// The port of sshd on 127.0.0.1.
  public let port: UInt16

  public init(layout: Layout, port: UInt16) {
    self.layout = layout
    self.port = port
  }

  private var alias: String { "spunnel-\(layout.name)" }

  /// The text of sshd_config: one user with one key, who may only forward (sshd_config(5)).
  public var server: String {
    """
    # Written by spunnelctl cluster up; it is written again at the next one.
    ListenAddress 127.0.0.1:\(port)
    HostKey \(layout.keys)/host
    PidFile none
    # %U is the number of the user who logs in: only the cluster's owner has a file there.
    AuthorizedKeysFile \(layout.keys)/authorized.%U
    # spunnelctl has checked the folder, and sshd would not accept a group's home on the way.
    StrictModes no
    UsePAM no
    AuthenticationMethods publickey
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    PermitRootLogin prohibit-password
    AllowTcpForwarding yes
    PermitListen localhost:* 127.0.0.1:* [::1]:*
    # PermitOpen would forbid every unix socket. The owner, who alone logs in, reaches all that this host does.
    AllowStreamLocalForwarding yes
    AllowAgentForwarding no
    X11Forwarding no
    PermitTunnel no
    PermitTTY no
    PermitUserRC no
    PermitUserEnvironment no
    PrintMotd no
    ForceCommand \(ClusterSSH.refusal)
    MaxStartups 100
    MaxSessions 100

    """
  }

  private static let refusal = "exit 1"

  /// The text of ssh_config: every node is this host (ssh_config(5)). The user's own configuration
  /// is not read.
  public var client: String {
    """
    # Written by spunnelctl cluster up; it is written again at the next one.
    Host *
      HostName 127.0.0.1
      Port \(port)
      HostKeyAlias \(alias)
      UserKnownHostsFile \(layout.keys)/known_hosts
      GlobalKnownHostsFile /dev/null
      StrictHostKeyChecking yes
      UpdateHostKeys no
      CheckHostIP no
      IdentityFile \(layout.keys)/client
      IdentitiesOnly yes
      IdentityAgent none
      PreferredAuthentications publickey

    """
  }

  /// The text of known_hosts.
  ///
  /// - Parameter hostKey: the content of the host key's `.pub` file
  public func knownHosts(hostKey: String) -> String { "\(alias) \(typeAndKey(hostKey))\n" }

  /// The text of an authorized_keys file.
  ///
  /// - Parameter clientKey: the content of the client key's `.pub` file
  public func authorizedKeys(clientKey: String) -> String {
    "restrict,port-forwarding \(typeAndKey(clientKey))\n"
  }
}
