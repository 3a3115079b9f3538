// How this site has set the plugin up: on the command line, or as plugstack.conf says.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// The option that all commands of tunnels share.
struct StateOption {
  static let option = Option(
    "state-dir", "DIR", .absoluteFolder,
    "Look for the records in DIR (otherwise as state_dir= in plugstack.conf says, or in /tmp).")

  let stateDirectory: String
  /// What was typed.
  private let directory: String?
  /// The plugin's line, when the directory had to be looked for there.
  private let line: PluginLine?

  init(_ call: Call) throws(CommandError) { try self.init(call[StateOption.option]) }

  /// - Parameter directory: `nil`: as plugstack.conf says
  init(_ directory: String?) throws(CommandError) {
    self.directory = directory
    // Slurm's library is asked by a process of its own: only when its answer is needed.
    line = directory == nil ? try StateOption.pluginLine() : nil
    stateDirectory = directory ?? line?.settings.stateDirectory ?? Settings().stateDirectory
  }

  /// The plugin's arguments, for a keeper.
  func arguments() throws(CommandError) -> [String] {
    // The last one counts.
    guard let directory else { return (line?.arguments ?? []) + Settings.choice() }
    return (try StateOption.pluginLine()?.arguments ?? []) + ["state_dir=\(directory)"]
      + Settings.choice()
  }

  private static func pluginLine() throws(CommandError) -> PluginLine? {
    guard let configuration = try slurmConfiguration() else { return nil }
    do throws(SettingsError) { return try PluginLine.find(slurmConfiguration: configuration) } catch
    {
      throw .failure("plugstack.conf: \(error)")
    }
  }

  /// The path of slurm.conf: the one that `SLURM_CONF` names, else the one that Slurm's own library finds.
  /// It may lie where Slurm was built for, or in /run/slurm/conf on a host without a file of its own.
  ///
  /// - Returns: `nil` when this host has no Slurm, or Slurm's library does not tell
  private static func slurmConfiguration() throws(CommandError) -> String? {
    if let named = Process.environment("SLURM_CONF"), !named.isEmpty {
      // Slurm would take it from the current directory, where anybody may have put it.
      guard named.contains("/") else { return nil }
      guard unsafe access(named, R_OK) == 0 else {
        let reason = SystemError(
          "read the file that SLURM_CONF names, '\(printable(named))'", errno)
        throw .failure("\(reason): correct SLURM_CONF, or unset it")
      }
      return named
    }
    guard let installation = Installation.current,
      let found = try? SlurmHelper(path: installation.jobs).configuration().path,
      found.hasPrefix("/")
    else { return nil }
    return found
  }
}
