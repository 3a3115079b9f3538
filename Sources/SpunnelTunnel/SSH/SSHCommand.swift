// The ssh command of a tunnel: one control master, no forwards of its own, no questions.

import SpunnelSlurm
import SpunnelSystem

/// Plans the argument vector.
public struct SSHCommand: Equatable, Sendable {
  /// `ssh` or a path, then all arguments.
  public let arguments: [String]
  /// Whether it hands a command of ours to a shell, and so must not have the user's own, which may be
  /// anything.
  public let needsShell: Bool

  /// - Parameters:
  ///   - settings: the site's program, arguments and timeout
  ///   - node: where to
  ///   - controlPath: where the master's socket goes (ssh_config(5), `ControlPath`)
  ///   - configuration: what ssh would do by itself
  public init(
    _ settings: Settings, node: NodeName, controlPath: String, _ configuration: SSHConfiguration
  ) {
    let jump = configuration.jump(settings)
    needsShell = !jump.isEmpty
    // ssh takes the first value that it finds for an option, so the order is the precedence.
    arguments =
      settings.sshCommand + SSHCommand.needed(controlPath)
      + SSHCommand.options(configuration.needed) + settings.sshArguments
      + SSHCommand.options(jump)
      + SSHCommand.options(configuration.preferred(timeout: settings.timeout))
      + ["--", node.description]
  }

  /// Asks ssh for its configuration (ssh(1), `-G`), with the site's arguments counted in.
  public init(asking settings: Settings, node: NodeName) {
    needsShell = false
    arguments =
      settings.sshCommand + settings.sshArguments + ["-N", "-T", "-G", "--", node.description]
  }

  /// What would break the tunnel otherwise, whatever a configuration says.
  static func needed(_ controlPath: String) -> [String] {
    // -N no command, -T no terminal, -x no X11, -a no agent, -n no input
    ["-M", "-N", "-T", "-x", "-a", "-n", "-S", unexpanded(controlPath)]
      + options([
        "BatchMode=yes",
        // The user's own LocalForward, RemoteForward and DynamicForward for this host could
        // collide; ours are asked for over the control socket, connection by connection.
        "ClearAllForwardings=yes",
        "ControlPersist=no",
        "PermitLocalCommand=no",
        "RemoteCommand=none",
        "Tunnel=no",
        "EscapeChar=none",
        // The socket of a forward, left by an ssh that was killed.
        "StreamLocalBindUnlink=yes",
        "StreamLocalBindMask=0177",
        // At INFO ssh says why a connection could not be opened.
        "LogLevel=INFO",
      ])
  }

  /// An environment in which ssh has its `ProxyCommand` run by a plain shell (ssh_config(5)).
  ///
  /// - Parameter inherited: `NAME=value` entries
  public static func withShell(_ inherited: [ByteString]) -> [ByteString] {
    inherited.filter { !$0.hasPrefix("SHELL=") } + ["SHELL=/bin/sh"]
  }

  static func options(_ options: [String]) -> [String] {
    options.flatMap { ["-o", $0] }
  }

  /// A word in which ssh expands no `%` token (ssh_config(5), TOKENS).
  static func unexpanded(_ word: String) -> String {
    word.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
  }
}
