// The plugin's line in plugstack.conf, for commands that are no srun: the same line, read in the same way.

import Glibc
import SpunnelSlurm

/// What a site has written behind the plugin's path.
public struct PluginLine: Sendable {
  public let arguments: [String]
  public let settings: Settings

  /// Looks for it as Slurm does (plugstack.c): in the file that slurm.conf names, or beside slurm.conf.
  ///
  /// - Parameter path: of slurm.conf, with a folder
  /// - Returns: the first line that names `spunnel.so`; `nil` when there is none
  /// - Throws: what is wrong with its arguments: srun refuses them as well
  public static func find(slurmConfiguration path: String) throws(SettingsError) -> PluginLine? {
    let named = SlurmConfigurationFile(path).pluginStack
    // Slurm would take another from the current directory, where anybody may have put it.
    if let named, !named.hasPrefix("/") { return nil }
    let usual = SiteFile.path("plugstack.conf", in: SiteFile.folder(of: path))
    return try find(in: named ?? usual, depth: 0)
  }

  private static func find(in path: String, depth: Int) throws(SettingsError) -> PluginLine? {
    guard depth < SiteFile.mostNested, let content = SiteFile.content(of: path) else { return nil }
    for line in content.split(separator: 10) {
      let words = words(of: line)
      guard words.count >= 2 else { continue }
      switch words[0] {
      case "include":
        let pattern = SiteFile.path(words[1], in: SiteFile.folder(of: path))
        for file in matches(of: pattern) {
          if let line = try find(in: file, depth: depth + 1) { return line }
        }
      case "required", "optional":
        guard words[1].hasSuffix("spunnel.so") else { continue }
        let arguments = Array(words[2...])
        return PluginLine(arguments: arguments, settings: try Settings(arguments: arguments))
      default: continue
      }
    }
    return nil
  }

  /// Up to a `#`, wherever it stands; nothing escapes it.
  static func words(of line: ArraySlice<UInt8>) -> [String] {
    line.prefix { $0 != UInt8(ascii: "#") }
      .split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
      .map(SiteFile.text)
  }

  /// glob(3), as Slurm reads `include plugstack.conf.d/*.conf`.
  private static func matches(of pattern: String) -> [String] {
    var result = unsafe glob_t()
    defer { unsafe globfree(&result) }
    guard unsafe glob(pattern, 0, nil, &result) == 0 else { return [] }
    return (0..<Int(unsafe result.gl_pathc)).compactMap { index in
      guard let path = unsafe result.gl_pathv[index] else { return nil }
      return unsafe String(cString: path)
    }
  }
}
