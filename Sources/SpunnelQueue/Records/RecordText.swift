// The text of a record file: lines of a key and a value, ended by a line with a dot.

/// Keys and values in order. A key may occur several times.
package struct RecordText: Equatable, Sendable {
  private var pairs: [(key: String, value: [UInt8])] = []

  package init() {}

  /// - Returns: `nil` for a torn text, whose last line is not a dot
  package init?(_ text: [UInt8]) {
    var lines = text.split(separator: 10, omittingEmptySubsequences: false)
    guard lines.popLast()?.isEmpty == true, lines.popLast().map(Array.init) == [UInt8(ascii: ".")]
    else { return nil }
    for line in lines {
      guard let space = line.firstIndex(of: 32) else { return nil }
      pairs.append(
        (
          String(decoding: line[..<space], as: UTF8.self),
          RecordText.unescaped(line[(space + 1)...])
        ))
    }
  }

  /// The text, with the final line of a dot.
  package var bytes: [UInt8] {
    var result: [UInt8] = []
    for (key, value) in pairs {
      result += key.utf8
      result.append(32)
      result += RecordText.escaped(value)
      result.append(10)
    }
    return result + [UInt8(ascii: "."), 10]
  }

  /// Adds a value. The key may exist already.
  package mutating func add(_ key: String, _ value: [UInt8]) { pairs.append((key, value)) }
  package mutating func add(_ key: String, _ value: String) { add(key, Array(value.utf8)) }
  /// Adds a number; nothing for `nil`.
  package mutating func add(_ key: String, _ value: Int?) {
    if let value { add(key, String(value)) }
  }

  /// The first value of a key.
  package func text(_ key: String) -> String? {
    values(key).first.map { String(decoding: $0, as: UTF8.self) }
  }

  /// The first value of a key as a number.
  package func number(_ key: String) -> Int? { text(key).flatMap { Int($0) } }

  /// All values of a key, in order.
  package func values(_ key: String) -> [[UInt8]] {
    pairs.filter { $0.key == key }.map(\.value)
  }

  package static func == (left: RecordText, right: RecordText) -> Bool { left.bytes == right.bytes }

  /// Escapes backslashes and control characters as `\xHH`, so that a value cannot contain a line
  /// end.
  private static func escaped(_ value: [UInt8]) -> [UInt8] {
    let digits = Array("0123456789abcdef".utf8)
    var result: [UInt8] = []
    for byte in value {
      if byte >= 32 && byte != 127 && byte != UInt8(ascii: "\\") {
        result.append(byte)
      } else {
        result += [
          UInt8(ascii: "\\"), UInt8(ascii: "x"), digits[Int(byte >> 4)], digits[Int(byte & 15)],
        ]
      }
    }
    return result
  }

  private static func unescaped(_ value: ArraySlice<UInt8>) -> [UInt8] {
    var (result, rest): ([UInt8], ArraySlice<UInt8>) = ([], value)
    while let byte = rest.popFirst() {
      let digits = rest.dropFirst().prefix(2)
      guard byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "x"), digits.count == 2,
        let code = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
      else {
        result.append(byte)
        continue
      }
      result.append(code)
      rest = rest.dropFirst(3)
    }
    return result
  }
}
