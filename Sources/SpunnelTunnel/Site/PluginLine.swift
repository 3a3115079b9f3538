// The plugin's line in plugstack.conf. Commands other than srun read the same line in the same way.

import Glibc
import SpunnelSlurm

/// The arguments that the site wrote after the plugin's path.
public struct PluginLine: Sendable {
  public let arguments: [String]
  public let settings: Settings

  /// Finds the plugin's line as Slurm does (plugstack.c): in the file that slurm.conf names, or
  /// beside slurm.conf.
  ///
  /// - Parameter path: the path of slurm.conf, with its folder
  /// - Returns: the first line that names `spunnel.so`; `nil` when there is none
  /// - Throws: an argument that is refused; srun refuses it as well
  public static func find(slurmConfiguration path: String) throws(SettingsError) -> PluginLine? {
    let named = SlurmConfigurationFile(path).pluginStack
    // Slurm would look for a relative name in the current directory, where any user may have put a
    // file.
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

  /// The words of a line up to a `#`, wherever it stands. Slurm knows no escape for it.
  static func words(of line: ArraySlice<UInt8>) -> [String] {
    line.prefix { $0 != UInt8(ascii: "#") }
      .split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
      .map(SiteFile.text)
  }

  /// Expands a pattern by glob(3), as Slurm does for `include plugstack.conf.d/*.conf`.
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
