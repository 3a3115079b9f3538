// The ssh command of a tunnel: one control master, no forwards of its own, no questions.

/// Plans the argument vector.
struct SSHCommand: Equatable {
  /// `ssh` or a path, then all arguments.
  let arguments: [String]

  /// - Parameters:
  ///   - settings: the site's program, arguments and timeout
  ///   - node: where to
  ///   - controlPath: where the master's socket goes (ssh_config(5), `ControlPath`)
  init(_ settings: Settings, node: NodeName, controlPath: String) {
    // ssh takes the first value that it finds for an option, so the order is the precedence.
    arguments =
      settings.sshCommand + SSHCommand.needed(controlPath) + settings.sshArguments
      + SSHCommand.preferred(settings) + ["--", node.description]
  }

  /// What would break the tunnel otherwise, whatever a configuration says.
  private static func needed(_ controlPath: String) -> [String] {
    // -N no command, -T no terminal, -x no X11, -a no agent, -n no input
    ["-M", "-N", "-T", "-x", "-a", "-n", "-S", escaped(controlPath)]
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

  /// What is better than ssh's own defaults; `ssh_args=` may say otherwise.
  private static func preferred(_ settings: Settings) -> [String] {
    options([
      "ConnectTimeout=\(settings.timeout)",
      "ServerAliveInterval=15",
      "ServerAliveCountMax=3",
      // Put first, nothing taken away: the fastest where the processor knows AES.
      "Ciphers=^aes128-gcm@openssh.com",
    ])
  }

  private static func options(_ options: [String]) -> [String] {
    options.flatMap { ["-o", $0] }
  }

  /// A path in which ssh expands no `%` token and no variable (ssh_config(5), TOKENS).
  private static func escaped(_ path: String) -> String {
    path.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%")
  }
}
