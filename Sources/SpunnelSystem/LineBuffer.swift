// Lines out of bytes as they come.

/// Puts lines together from pieces, and holds no line that is longer than a bound.
public struct LineBuffer {
  /// Bytes that a line may have.
  public let longest: Int
  private let returnsEndLines: Bool
  private var pending: [UInt8] = []
  /// Where the line begins that is to be taken next.
  private var start = 0
  /// Bytes of that line, from its beginning, in which there is no end.
  private var searched = 0

  /// - Parameters:
  ///   - longest: bytes that a line may have, its end not counted
  ///   - returnsEndLines: whether a carriage return ends a line as well, as in what programs write for terminals
  public init(longest: Int, returnsEndLines: Bool = false) {
    self.longest = longest
    self.returnsEndLines = returnsEndLines
  }

  /// Whether what has come is longer than a line may be. It is for the caller to end the conversation, or to `drop`.
  public var isOverlong: Bool { pending.count - start > longest && lineEnd() == nil }

  public mutating func append(_ bytes: [UInt8]) {
    if start > 0 {
      pending.removeFirst(start)
      start = 0
    }
    pending += bytes
  }

  /// - Returns: the next line that is whole, without its end; `nil` when there is none
  public mutating func next() -> String? {
    guard let end = lineEnd(), end - start <= longest else {
      searched = pending.count - start
      return nil
    }
    defer { (start, searched) = (end + 1, 0) }
    return String(decoding: pending[start..<end], as: UTF8.self)
  }

  /// What has come after the last whole line, which is the last one where no more will come.
  public var rest: String { String(decoding: pending[start...], as: UTF8.self) }

  /// Forgets what has come after the last line that was taken.
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
