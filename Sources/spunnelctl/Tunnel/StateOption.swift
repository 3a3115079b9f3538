// How this site has set the plugin up: on the command line, or as plugstack.conf says.

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
  /// The plugin's arguments, for a keeper.
  let arguments: [String]

  init(_ call: Call) throws(CommandError) { try self.init(call[StateOption.option]) }

  /// - Parameter directory: `nil`: as plugstack.conf says
  init(_ directory: String?) throws(CommandError) {
    let line = try StateOption.pluginLine()
    stateDirectory = directory ?? line?.settings.stateDirectory ?? Settings().stateDirectory
    // The last one counts.
    arguments =
      (line?.arguments ?? []) + (directory.map { ["state_dir=\($0)"] } ?? [])
      + Settings.choice()
  }

  private static func pluginLine() throws(CommandError) -> PluginLine? {
    let configuration = Process.environment("SLURM_CONF") ?? "/etc/slurm/slurm.conf"
    guard configuration.contains("/") else { return nil }
    do throws(SettingsError) { return try PluginLine.find(slurmConfiguration: configuration) } catch
    {
      throw .failure("plugstack.conf: \(error)")
    }
  }
}
