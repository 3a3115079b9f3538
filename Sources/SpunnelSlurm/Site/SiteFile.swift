// Reads files of the site's configuration, as far as the user may read them.

import Glibc
import SpunnelSystem

/// Functions on files of the site's configuration.
public enum SiteFile {
  /// The maximum depth of included files. Slurm has no limit, and loops if two files include each
  /// other.
  public static let mostNested = 8
  /// The most bytes of a file; real files are far smaller.
  private static let longest = 16 << 20

  /// Reads a whole file.
  ///
  /// - Parameter limit: the largest number of bytes that is read; `nil`: more than any site's file has
  /// - Returns: `nil` if it cannot be read
  public static func content(of path: String, atMost limit: Int? = nil) -> [UInt8]? {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY)
      return try file.content(expecting: file.size(), atMost: limit ?? longest)
    } catch { return nil }
  }

  /// The folder of a file (dirname(3)).
  public static func folder(of path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }

  /// The path of a file that another file names.
  ///
  /// - Parameter folder: for a relative name. The current directory is never used, because any user
  ///   may have put a file there
  public static func path(_ name: String, in folder: String) -> String {
    name.hasPrefix("/") ? name : folder + "/" + name
  }

  /// The bytes as text; bytes that are not UTF-8 are replaced.
  public static func text(_ bytes: some Sequence<UInt8>) -> String {
    String(decoding: Array(bytes), as: UTF8.self)
  }

  /// Whether a byte is white space (isspace(3)).
  static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}
