// The ssh command of a tunnel: a control master that makes no forwards by itself and asks no
// questions.

import SpunnelSlurm
import SpunnelSystem

/// The argument vector of an ssh.
public struct SSHCommand: Equatable, Sendable {
  /// The program, then all its arguments.
  public let arguments: [String]
  /// Whether ssh runs a `ProxyCommand` of Spunnel. It then needs `/bin/sh`, because the user's own
  /// shell may be any program.
  public let needsShell: Bool

  /// Plans the control master of a link.
  ///
  /// - Parameters:
  ///   - settings: the site's program, arguments and timeout
  ///   - node: the node to connect to
  ///   - controlPath: the path of the control socket (ssh_config(5), `ControlPath`)
  ///   - configuration: what `ssh -G` says of the node
  public init(
    _ settings: Settings, node: NodeName, controlPath: String, _ configuration: SSHConfiguration
  ) {
    let jump = configuration.jump(settings)
    needsShell = !jump.isEmpty
    // ssh uses the first value that it finds for an option, so the order is the precedence.
    arguments =
      settings.sshCommand + SSHCommand.needed(controlPath)
      + SSHCommand.options(configuration.needed) + settings.sshArguments
      + SSHCommand.options(jump)
      + SSHCommand.options(configuration.preferred(timeout: settings.timeout))
      + ["--", node.description]
  }

  /// Plans an ssh that prints its configuration (ssh(1), `-G`), the site's arguments included.
  public init(asking settings: Settings, node: NodeName) {
    needsShell = false
    arguments =
      settings.sshCommand + settings.sshArguments + ["-N", "-T", "-G", "--", node.description]
  }

  /// Options that a tunnel needs, whatever a configuration says.
  static func needed(_ controlPath: String) -> [String] {
    // -N: no command; -T: no terminal; -x: no X11; -a: no agent; -n: no input
    ["-M", "-N", "-T", "-x", "-a", "-n", "-S", unexpanded(controlPath)]
      + options([
        "BatchMode=yes",
        // The user's own LocalForward, RemoteForward and DynamicForward for this host could
        // collide. The keeper requests its forwards over the control socket, one connection at a
        // time.
        "ClearAllForwardings=yes",
        "ControlPersist=no",
        "PermitLocalCommand=no",
        "RemoteCommand=none",
        "Tunnel=no",
        "EscapeChar=none",
        // A killed ssh may leave the socket of a forward behind.
        "StreamLocalBindUnlink=yes",
        "StreamLocalBindMask=0177",
        // At INFO, ssh says why it could not open a connection.
        "LogLevel=INFO",
      ])
  }

  /// An environment that makes ssh run its `ProxyCommand` by /bin/sh (ssh_config(5)).
  ///
  /// - Parameter inherited: `NAME=value` entries
  public static func withShell(_ inherited: [ByteString]) -> [ByteString] {
    inherited.filter { !$0.hasPrefix("SHELL=") } + ["SHELL=/bin/sh"]
  }

  /// The options as arguments, with `-o` before each.
  static func options(_ options: [String]) -> [String] {
    options.flatMap { ["-o", $0] }
  }

  /// A word in which ssh expands no `%` token (ssh_config(5), TOKENS).
  static func unexpanded(_ word: String) -> String {
    word.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
  }
}
