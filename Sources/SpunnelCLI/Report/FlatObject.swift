// Reads a JSON object without nested objects or arrays (RFC 8259), in which small programs describe
// themselves. Any other text is refused, because the file belongs to another program.

/// The members of a flat JSON object.
package struct FlatObject: Equatable {
  /// The value of a member.
  package enum Value: Equatable, Sendable {
    case string(String)
    /// The number as text.
    case number(String)
    case bool(Bool)
    case null
  }

  private var members: [String: Value] = [:]

  package subscript(name: String) -> Value? { members[name] }

  /// - Returns: `nil` for any text but one flat object
  package init?(_ text: String) {
    var reader = Reader(bytes: Array(text.utf8)[...])
    reader.skipSpace()
    guard reader.take("{") else { return nil }
    reader.skipSpace()
    if !reader.take("}") {
      repeat {
        reader.skipSpace()
        guard let name = reader.string() else { return nil }
        reader.skipSpace()
        guard reader.take(":") else { return nil }
        reader.skipSpace()
        guard let value = reader.value() else { return nil }
        members[name] = value
        reader.skipSpace()
      } while reader.take(",")
      guard reader.take("}") else { return nil }
    }
    reader.skipSpace()
    if !reader.bytes.isEmpty { return nil }
  }
}

private struct Reader {
  var bytes: ArraySlice<UInt8>

  mutating func skipSpace() {
    bytes = bytes.drop { [0x20, 0x09, 0x0a, 0x0d].contains($0) }
  }

  mutating func take(_ word: StaticString) -> Bool {
    let wanted = Array("\(word)".utf8)
    guard bytes.starts(with: wanted) else { return false }
    bytes = bytes.dropFirst(wanted.count)
    return true
  }

  mutating func value() -> FlatObject.Value? {
    if let text = string() { return .string(text) }
    if take("true") { return .bool(true) }
    if take("false") { return .bool(false) }
    if take("null") { return .null }
    let digits = bytes.prefix { "+-.0123456789eE".utf8.contains($0) }
    if digits.isEmpty { return nil }
    bytes = bytes.dropFirst(digits.count)
    return .number(String(decoding: digits, as: UTF8.self))
  }

  /// - Returns: `nil` when no string begins here, or when it is malformed
  mutating func string() -> String? {
    let before = bytes
    guard take("\"") else { return nil }
    var units: [UInt16] = []
    var plain: [UInt8] = []
    func flushed(_ plain: [UInt8]) -> [UInt16] {
      Array(String(decoding: plain, as: UTF8.self).utf16)
    }
    while let byte = bytes.popFirst() {
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: units + flushed(plain), as: UTF16.self)
      case UInt8(ascii: "\\"):
        units += flushed(plain)
        plain = []
        guard let unit = escape() else {
          bytes = before
          return nil
        }
        units.append(unit)
      case 0..<0x20:
        bytes = before
        return nil
      default: plain.append(byte)
      }
    }
    bytes = before
    return nil
  }

  private mutating func escape() -> UInt16? {
    guard let letter = bytes.popFirst() else { return nil }
    switch letter {
    case UInt8(ascii: "n"): return 10
    case UInt8(ascii: "t"): return 9
    case UInt8(ascii: "r"): return 13
    case UInt8(ascii: "b"): return 8
    case UInt8(ascii: "f"): return 12
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return UInt16(letter)
    case UInt8(ascii: "u"):
      let digits = String(decoding: bytes.prefix(4), as: UTF8.self)
      guard digits.utf8.count == 4, let unit = UInt16(digits, radix: 16) else { return nil }
      bytes = bytes.dropFirst(4)
      return unit
    default: return nil
    }
  }
}
