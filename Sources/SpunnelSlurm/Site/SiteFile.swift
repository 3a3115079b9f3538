// A file of the site's configuration, as far as a user's command can read it.

import Glibc
import SpunnelSystem

public enum SiteFile {
  /// How deep files may include others: Slurm knows no bound, and no end where two include each other.
  public static let mostNested = 8
  /// More than any site's.
  private static let longest = 16 << 20

  /// - Returns: `nil` when it cannot be read
  public static func content(of path: String) -> [UInt8]? {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY)
      return try file.content(expecting: file.size(), atMost: longest)
    } catch { return nil }
  }

  /// dirname(3) of a file.
  public static func folder(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }

  /// Where a file is that another one names.
  ///
  /// - Parameter folder: for a name that is no absolute path; never the current directory, where anybody
  ///   may have put one
  public static func path(_ name: String, in folder: String) -> String {
    name.hasPrefix("/") ? name : folder + "/" + name
  }

  public static func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes), as: UTF8.self)
  }

  /// isspace(3).
  static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}
