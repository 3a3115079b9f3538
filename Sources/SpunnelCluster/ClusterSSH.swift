// The text of the cluster's own sshd_config, ssh_config and known_hosts.

import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// What the tunnel's ssh and sshd are told.
public struct ClusterSSH: Sendable {
  public let layout: Layout
  public let port: UInt16

  public init(layout: Layout, port: UInt16) {
    self.layout = layout
    self.port = port
  }

  private var alias: String { "spunnel-\(layout.name)" }

  /// sshd_config(5): one key of one user, and nothing but forwarding to this host.
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

  /// ssh_config(5): all nodes are this host. Nothing of the user's own configuration is read.
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

  /// - Parameter hostKey: the content of the host key's `.pub` file
  public func knownHosts(hostKey: String) -> String { "\(alias) \(typeAndKey(hostKey))\n" }

  /// - Parameter clientKey: the content of the client key's `.pub` file
  public func authorizedKeys(clientKey: String) -> String {
    "restrict,port-forwarding \(typeAndKey(clientKey))\n"
  }
}
