// Arguments and variables as the kernel hands them on: bytes, in whatever encoding or in none.

import Glibc

/// A C string byte for byte. A `String` made of it would have other bytes where it is no UTF-8: another
/// file, another value. There is no `description`, so that none is made by accident.
public struct ByteString: Hashable, Sendable {
  public let bytes: [UInt8]

  /// - Parameter bytes: without the NUL
  public init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

  public init(_ text: String) { self.init(bytes: text.utf8) }

  init(copying text: UnsafePointer<CChar>) {
    let characters = unsafe UnsafeBufferPointer(start: text, count: strlen(text))
    self.init(bytes: unsafe characters.map { UInt8(bitPattern: $0) })
  }

  /// For messages alone.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// With the NUL.
  var cString: [CChar] { bytes.map { CChar(bitPattern: $0) } + [0] }

  public func hasPrefix(_ prefix: String) -> Bool { bytes.starts(with: prefix.utf8) }

  /// Without so many bytes at its beginning.
  public func dropFirst(_ count: Int) -> ByteString { ByteString(bytes: bytes.dropFirst(count)) }

  public static func + (left: ByteString, right: ByteString) -> ByteString {
    ByteString(bytes: left.bytes + right.bytes)
  }
}

extension ByteString: ExpressibleByStringInterpolation {
  public init(stringLiteral text: String) { self.init(text) }
}

extension Process {
  /// The command line, the program's own name first.
  public static func arguments() -> [ByteString] { unsafe vector(CommandLine.unsafeArgv) }

  /// The whole environment as `NAME=value` entries.
  public static func environment() -> [ByteString] { unsafe vector(environ) }

  /// The environment for the system's own programs: libraries that the user's environment puts before theirs,
  /// as conda's does, break them (ld.so(8)).
  ///
  /// - Parameter entries: `NAME=value`; `nil`: this process's own
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
