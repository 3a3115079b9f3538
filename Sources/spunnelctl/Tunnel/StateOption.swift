// The site's setup of the plugin: from the command line, or from plugstack.conf.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// The option `--state-dir`, which all commands of tunnels share.
struct StateOption {
  static let option = Option(
    "state-dir", "DIR", .absoluteFolder,
    "Look for the records in DIR (otherwise as state_dir= in plugstack.conf says, or in /tmp).")

  /// The absolute path of the directory that holds the users' state directories.
  let stateDirectory: String
  /// The directory that the user typed; `nil` without the option.
  private let directory: String?
  /// The plugin's line; `nil` when the user typed the directory or there is no such line.
  private let line: PluginLine?

  init(_ call: Call) throws(CommandError) { try self.init(call[StateOption.option]) }

  /// - Parameter directory: an absolute path; `nil` for that of plugstack.conf
  init(_ directory: String?) throws(CommandError) {
    self.directory = directory
    // Reading it may start a process that asks Slurm's library, so it is read only when needed.
    line = directory == nil ? try StateOption.pluginLine() : nil
    stateDirectory = directory ?? line?.settings.stateDirectory ?? Settings().stateDirectory
  }

  /// The name by which users log in to this host.
  var loginName: String {
    let line = directory == nil ? line : try? StateOption.pluginLine()
    return (line?.settings ?? Settings()).loginName
  }

  /// The plugin's arguments for a keeper.
  func arguments() throws(CommandError) -> [String] {
    // If a key occurs twice, the last value counts.
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

  /// The path of slurm.conf: the one in `SLURM_CONF`, or the one that Slurm's own library finds.
  /// The library looks where Slurm was built for, and in /run/slurm/conf on a configless host.
  ///
  /// - Returns: `nil` when this host has no Slurm, or its library finds no file
  static func slurmConfiguration() throws(CommandError) -> String? {
    if let named = Process.environment("SLURM_CONF"), !named.isEmpty {
      // Slurm would look in the current directory, where any user may have put a file.
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
