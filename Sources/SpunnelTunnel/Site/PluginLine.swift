// The plugin's line in plugstack.conf. Commands other than srun read the same line in the same way.

import Glibc
import SpunnelSlurm

/// A line of plugstack.conf that loads `spunnel.so`.
public struct StackLine: Equatable, Sendable {
  /// The file that the line stands in, plugstack.conf or one that it includes.
  public let file: String
  public let number: Int
  /// Whether a step without its tunnel fails.
  public let isRequired: Bool
  /// The plugin's path, as it stands there.
  public let plugin: String
  public let arguments: [String]

  /// `/etc/slurm/plugstack.conf:3`.
  public var place: String { "\(file):\(number)" }
}

/// The arguments that the site wrote after the plugin's path.
public struct PluginLine: Sendable {
  public let arguments: [String]
  public let settings: Settings
  public let line: StackLine

  /// Finds the plugin's line as Slurm does (plugstack.c): in the file that slurm.conf names, or
  /// beside slurm.conf.
  ///
  /// - Parameter path: the path of slurm.conf, with its folder
  /// - Returns: the first line that names `spunnel.so`; `nil` when there is none
  /// - Throws: an argument that is refused; srun refuses it as well
  public static func find(slurmConfiguration path: String) throws(SettingsError) -> PluginLine? {
    guard let stack = stack(slurmConfiguration: path), let line = lines(in: stack).first else {
      return nil
    }
    return PluginLine(
      arguments: line.arguments, settings: try Settings(arguments: line.arguments), line: line)
  }

  /// Whether a step without its tunnel fails, by the line that has these arguments; the user's own may follow.
  ///
  /// - Returns: `nil` where it is not known: no file is where it usually is, or two lines say different things
  public static func isRequired(arguments: [String]) -> Bool? {
    guard let path = UsualConfiguration.path, let stack = stack(slurmConfiguration: path) else {
      return nil
    }
    let words = Set(
      lines(in: stack).filter { arguments.starts(with: $0.arguments) }.map(\.isRequired))
    return words.count == 1 ? words.first : nil
  }

  /// Where plugstack.conf is.
  ///
  /// - Returns: `nil` where slurm.conf names no absolute path: Slurm would take the file from the current
  ///   directory, where anybody may have put it
  public static func stack(slurmConfiguration path: String) -> String? {
    let named = SlurmConfigurationFile(path).pluginStack
    if let named { return named.hasPrefix("/") ? named : nil }
    return SiteFile.path("plugstack.conf", in: SiteFile.folder(of: path))
  }

  /// All lines that load the plugin, in a plugstack.conf and in what it includes.
  public static func lines(in stack: String) -> [StackLine] { lines(in: stack, depth: 0) }

  private static func lines(in path: String, depth: Int) -> [StackLine] {
    guard depth < SiteFile.mostNested, let content = SiteFile.content(of: path) else { return [] }
    var found: [StackLine] = []
    let all = content.split(separator: 10, omittingEmptySubsequences: false)
    for (index, line) in all.enumerated() {
      let words = words(of: line)
      guard words.count >= 2 else { continue }
      switch words[0] {
      case "include":
        let pattern = SiteFile.path(words[1], in: SiteFile.folder(of: path))
        for file in matches(of: pattern) { found += lines(in: file, depth: depth + 1) }
      case "required", "optional":
        guard words[1].hasSuffix("spunnel.so") else { continue }
        found.append(
          StackLine(
            file: path, number: index + 1, isRequired: words[0] == "required", plugin: words[1],
            arguments: Array(words[2...])))
      default: continue
      }
    }
    return found
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
