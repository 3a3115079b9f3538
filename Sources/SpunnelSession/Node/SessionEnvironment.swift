// Which variables a session's programs find: those of its job, and none of the login that asked for it.

import SpunnelSystem

package enum SessionEnvironment {
  /// Variables of the login host. sbatch carries them into the job, where they lead to displays, agents,
  /// buses and directories of another host.
  private static let foreign: Set<String> = [
    "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "ICEAUTHORITY", "SESSION_MANAGER",
    "SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY",
    "SSH_ORIGINAL_COMMAND",
    "TMUX", "TMUX_PANE", "TMUX_TMPDIR", "STY", "WINDOW", "TERM_PROGRAM", "TERM_PROGRAM_VERSION",
    "XDG_RUNTIME_DIR", "XDG_SESSION_ID", "XDG_SESSION_TYPE", "XDG_SESSION_CLASS", "XDG_SEAT",
    "XDG_VTNR", "DBUS_SESSION_BUS_ADDRESS", "DBUS_SESSION_BUS_PID", "DBUS_SESSION_BUS_WINDOWID",
    "LINES", "COLUMNS", "QCONNECT", "SPUNNEL_HOST_KEY", "SPUNNEL_CLIENT_KEY", "INVOCATION_ID",
    "SLURM_JWT",
  ]

  /// Without what belongs to the login host.
  ///
  /// - Parameter inherited: `NAME=value` entries
  package static func ofJob(_ inherited: [ByteString]) -> [ByteString] {
    inherited.filter { entry in
      guard let name = name(of: entry) else { return false }
      return !foreign.contains(name)
    }
  }

  /// - Parameters:
  ///   - inherited: the batch step's environment
  ///   - kind: what `QCONNECT` and `SPUNNEL_SESSION` tell
  ///   - runtimeDirectory: the session's own, for `XDG_RUNTIME_DIR`
  package static func inside(
    _ inherited: [ByteString], kind: any SessionKind.Type, runtimeDirectory: String
  ) -> [ByteString] {
    var all = ofJob(inherited)
    all += [
      "XDG_RUNTIME_DIR=\(runtimeDirectory)", "SPUNNEL_SESSION=\(kind.name)",
      "QCONNECT=\(kind.letters)",
    ]
    // From Slurm 22.05 on srun does not take it over from the job by itself.
    if let count = value(of: "SLURM_CPUS_PER_TASK", in: all),
      value(of: "SRUN_CPUS_PER_TASK", in: all) == nil
    {
      all.append("SRUN_CPUS_PER_TASK=" + count)
    }
    return all
  }

  /// The value of the first entry of that name.
  package static func value(of name: String, in entries: [ByteString]) -> ByteString? {
    entries.first { $0.hasPrefix(name + "=") }?.dropFirst(name.utf8.count + 1)
  }

  package static func name(of entry: ByteString) -> String? {
    guard let end = entry.bytes.firstIndex(of: UInt8(ascii: "=")) else { return nil }
    return String(decoding: entry.bytes[..<end], as: UTF8.self)
  }
}
