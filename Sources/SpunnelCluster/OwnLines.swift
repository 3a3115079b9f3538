// What a cluster's owner has written into its configuration, which is written anew at each up.

import SpunnelSystem

enum OwnLines {
  /// Everything below this line is the owner's.
  static let mark = "# Your own lines stand below this one: spunnelctl cluster up keeps them."

  /// A file's new content, with what its owner has added to the old one.
  ///
  /// - Parameters:
  ///   - text: as `up` writes it
  ///   - old: as it was; `nil` where there was none
  static func kept(_ text: String, from old: String?) -> String {
    text + (text.hasSuffix("\n") || text.isEmpty ? "" : "\n") + mark + "\n" + added(to: old ?? "")
  }

  /// What stands behind the mark.
  static func added(to old: String) -> String {
    var rest = old[...]
    while let end = rest.firstIndex(of: "\n") {
      let line = rest[..<end]
      rest = rest[rest.index(after: end)...]
      if line == mark { return String(rest) }
    }
    return ""
  }
}

extension Directory {
  /// Replaces a file of the cluster's, and keeps what its owner has added.
  borrowing func replaceKeeping(_ name: String, with text: String) throws(SystemError) {
    let old = (try? read(name, atMost: 1 << 20)).map { String(decoding: $0, as: UTF8.self) }
    try replace(name, with: Array(OwnLines.kept(text, from: old).utf8))
  }
}
