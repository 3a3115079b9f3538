// How this site has set the plugin up: on the command line, or as plugstack.conf says.

import SpunnelSystem
import SpunnelTunnel

/// The words of a command, once the options that all commands share are taken out.
struct StateOption {
  let stateDirectory: String
  /// The plugin's arguments, for a keeper.
  let arguments: [String]
  let rest: [String]

  /// Takes `--state-dir DIR` out of the words.
  init(_ words: [String]) throws(CommandError) {
    var rest: [String] = []
    var directory: String?
    var next = words.makeIterator()
    while let word = next.next() {
      if word == "--state-dir" {
        directory = next.next()
        if directory == nil { throw .usage("--state-dir wants a directory") }
      } else if word.hasPrefix("--state-dir=") {
        directory = String(word.dropFirst("--state-dir=".count))
      } else {
        rest.append(word)
      }
    }
    if let directory, !directory.hasPrefix("/") {
      throw .usage("--state-dir '\(printable(directory))' is no absolute path")
    }
    let line = try StateOption.pluginLine()
    stateDirectory = directory ?? line?.settings.stateDirectory ?? Settings().stateDirectory
    // The last one counts.
    arguments = (line?.arguments ?? []) + (directory.map { ["state_dir=\($0)"] } ?? [])
    self.rest = rest
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
