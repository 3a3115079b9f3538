// Lines from bytes as they arrive.

/// Assembles lines from pieces, up to a maximum length.
public struct LineBuffer {
  /// The most bytes of a line.
  public let longest: Int
  private let returnsEndLines: Bool
  private var pending: [UInt8] = []
  /// The index at which the next line begins.
  private var start = 0
  /// The bytes of that line that are known to contain no line end.
  private var searched = 0

  /// Makes an empty buffer.
  ///
  /// - Parameters:
  ///   - longest: the most bytes of a line, without its end
  ///   - returnsEndLines: whether a carriage return also ends a line, as in output for terminals
  public init(longest: Int, returnsEndLines: Bool = false) {
    self.longest = longest
    self.returnsEndLines = returnsEndLines
  }

  /// Whether the current line is too long. The caller must then end the conversation or call
  /// `drop`.
  public var isOverlong: Bool { pending.count - start > longest && lineEnd() == nil }

  /// Adds bytes that have arrived.
  public mutating func append(_ bytes: [UInt8]) {
    if start > 0 {
      pending.removeFirst(start)
      start = 0
    }
    pending += bytes
  }

  /// Takes the next complete line.
  ///
  /// - Returns: the line without its end; `nil` if there is none
  public mutating func next() -> String? {
    guard let end = lineEnd(), end - start <= longest else {
      searched = pending.count - start
      return nil
    }
    defer { (start, searched) = (end + 1, 0) }
    return String(decoding: pending[start..<end], as: UTF8.self)
  }

  /// The bytes after the last complete line. If no more bytes come, they are the last line.
  public var rest: String { String(decoding: pending[start...], as: UTF8.self) }

  /// Drops the bytes after the last line that was taken.
  public mutating func drop() {
    pending = []
    (start, searched) = (0, 0)
  }

  private func lineEnd() -> Int? {
    pending[(start + min(searched, pending.count - start))...].firstIndex {
      $0 == UInt8(ascii: "\n") || (returnsEndLines && $0 == UInt8(ascii: "\r"))
    }
  }
}
