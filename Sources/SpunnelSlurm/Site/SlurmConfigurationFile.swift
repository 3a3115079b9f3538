// Reads the keys of slurm.conf that a user's command needs.

/// Some keys of slurm.conf and its included files, parsed as Slurm parses them (parse_config.c).
public struct SlurmConfigurationFile: Sendable {
  /// The value of `PlugStackConfig=`; the last one if there are several.
  public private(set) var pluginStack: String?
  /// The value of `SrunPortRange=`.
  public private(set) var srunPortRange: String?
  private var clusterName = ""
  private let folder: String

  /// Reads slurm.conf and its included files.
  ///
  /// - Parameter path: files that cannot be read are skipped
  public init(_ path: String) {
    folder = SiteFile.folder(of: path)
    read(path, depth: 0)
  }

  private mutating func read(_ path: String, depth: Int) {
    guard depth < SiteFile.mostNested, let content = SiteFile.content(of: path) else { return }
    for line in SlurmConfigurationFile.lines(of: content) {
      if let file = SlurmConfigurationFile.included(by: line) {
        read(place(of: file), depth: depth + 1)
      } else if let (key, value) = SlurmConfigurationFile.pair(line) {
        switch key {
        case "plugstackconfig": pluginStack = value
        case "srunportrange": srunPortRange = value
        case "clustername": clusterName = value.lowercased()
        default: continue
        }
      }
    }
  }

  /// The path of an included file. Before 23.02 Slurm used the folder of the including file, which
  /// is nearly always the same.
  private func place(of file: ArraySlice<UInt8>) -> String {
    SiteFile.path(SiteFile.text(expanded(file)), in: folder)
  }

  /// Replaces each `%c` by the cluster's name.
  private func expanded(_ name: ArraySlice<UInt8>) -> [UInt8] {
    var (expanded, rest): ([UInt8], ArraySlice<UInt8>) = ([], name)
    while let byte = rest.first {
      let isMark = rest.starts(with: "%c".utf8)
      expanded += isMark ? Array(clusterName.utf8) : [byte]
      rest = rest.dropFirst(isMark ? 2 : 1)
    }
    return expanded
  }
}

// MARK: - Lines

extension SlurmConfigurationFile {
  private static let backslash = UInt8(ascii: "\\")

  /// Splits the content into lines without comments and escapes. A line that ends in a backslash
  /// continues on the next.
  static func lines(of content: [UInt8]) -> [[UInt8]] {
    var (lines, begun): ([[UInt8]], [UInt8]) = ([], [])
    for physical in content.split(separator: 10, omittingEmptySubsequences: false) {
      let line = withoutComment(physical)
      if let end = continuation(of: line) {
        begun += line[..<end]
      } else {
        lines.append(withoutEscapes(begun + line))
        begun = []
      }
    }
    return begun.isEmpty ? lines : lines + [withoutEscapes(begun)]
  }

  /// The line up to the first `#` that is not escaped. Quotes have no effect.
  private static func withoutComment(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var isEscaped = false
    for (index, byte) in zip(line.indices, line) {
      if byte == UInt8(ascii: "#") && !isEscaped { return line[..<index] }
      isEscaped = byte == backslash && !isEscaped
    }
    return line
  }

  /// The index of the backslash that continues a line: the last of an odd number.
  private static func continuation(of line: ArraySlice<UInt8>) -> Int? {
    guard let last = line.lastIndex(where: { !SiteFile.isSpace($0) }) else { return nil }
    let backslashes = line[...last].reversed().prefix { $0 == backslash }.count
    return backslashes % 2 == 1 ? last : nil
  }

  private static func withoutEscapes(_ line: [UInt8]) -> [UInt8] {
    var isEscaped = false
    return line.filter { byte in
      isEscaped = byte == backslash && !isEscaped
      return !isEscaped
    }
  }

  /// The file of `Include FILE` at the beginning of a line.
  static func included(by line: [UInt8]) -> ArraySlice<UInt8>? {
    let word = line.prefix { !SiteFile.isSpace($0) }
    guard SiteFile.text(word).lowercased() == "include", word.count < line.count
    else { return nil }
    return line[word.count...].drop(while: SiteFile.isSpace).prefix { !SiteFile.isSpace($0) }
  }

  /// Parses `KEY=VALUE` at the beginning of a line. The key is lowercased. The value is quoted, or
  /// ends at a space.
  static func pair(_ line: [UInt8]) -> (key: String, value: String)? {
    var rest = line.drop(while: SiteFile.isSpace)
    let key = rest.prefix(while: isKey)
    rest = rest.dropFirst(key.count).drop(while: SiteFile.isSpace)
    guard rest.first == UInt8(ascii: "=") else { return nil }
    rest = rest.dropFirst().drop(while: SiteFile.isSpace)
    let quote = UInt8(ascii: "\"")
    if rest.first == quote, let end = rest.dropFirst().firstIndex(of: quote) {
      return (SiteFile.text(key).lowercased(), SiteFile.text(rest[(rest.startIndex + 1)..<end]))
    }
    return (SiteFile.text(key).lowercased(), SiteFile.text(rest.prefix { !SiteFile.isSpace($0) }))
  }

  private static func isKey(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."):
      true
    default: false
    }
  }
}
