// Arguments and environment variables as the kernel passes them: bytes, in any encoding or in none.

import Glibc

/// A C string, byte for byte. A `String` would change bytes that are not UTF-8, and so name another
/// file or another value. There is no `description`, so that no `String` is made by accident.
public struct ByteString: Hashable, Sendable {
  public let bytes: [UInt8]

  /// Wraps the bytes of a C string.
  ///
  /// - Parameter bytes: without the terminating NUL
  public init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

  /// The UTF-8 bytes of a text.
  public init(_ text: String) { self.init(bytes: text.utf8) }

  init(copying text: UnsafePointer<CChar>) {
    let characters = unsafe UnsafeBufferPointer(start: text, count: strlen(text))
    self.init(bytes: unsafe characters.map { UInt8(bitPattern: $0) })
  }

  /// The text for messages only: bytes that are not UTF-8 are replaced.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The bytes with the terminating NUL.
  var cString: [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }

  public func hasPrefix(_ prefix: String) -> Bool { bytes.starts(with: prefix.utf8) }

  /// The string without its first `count` bytes.
  public func dropFirst(_ count: Int) -> ByteString { ByteString(bytes: bytes.dropFirst(count)) }

  public static func + (left: ByteString, right: ByteString) -> ByteString {
    ByteString(bytes: left.bytes + right.bytes)
  }
}

extension ByteString: ExpressibleByStringInterpolation {
  public init(stringLiteral text: String) { self.init(text) }
}

extension Process {
  /// The command line, starting with the program's name.
  public static func arguments() -> [ByteString] { unsafe vector(CommandLine.unsafeArgv) }

  /// The whole environment as `NAME=value` entries.
  public static func environment() -> [ByteString] { unsafe vector(environ) }

  /// The environment for the system's own programs. If the user's environment puts other libraries
  /// first, as conda does, these programs break (ld.so(8)).
  ///
  /// - Parameter entries: `NAME=value`; `nil`: this process's own
  /// - Returns: the entries without `LD_LIBRARY_PATH` and `LD_PRELOAD`
  public static func withoutLibraries(_ entries: [ByteString]? = nil) -> [ByteString] {
    (entries ?? environment()).filter { entry in
      !["LD_LIBRARY_PATH=", "LD_PRELOAD="].contains { entry.hasPrefix($0) }
    }
  }

  private static func vector(
    _ strings: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  ) -> [ByteString] {
    var entries: [ByteString] = []
    var next = unsafe strings
    while let entry = unsafe next.pointee {
      entries.append(unsafe ByteString(copying: entry))
      unsafe next += 1
    }
    return entries
  }
}
