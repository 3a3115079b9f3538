// Writes JSON (RFC 8259) as far as the commands need it: without fractions, and with keys in the
// order of the report.

import SpunnelSystem

/// A JSON value.
package enum JSON: Equatable, Sendable {
  case string(String)
  case number(Int)
  case bool(Bool)
  case array([JSON])
  case object([Pair])

  /// A member of an object.
  package struct Pair: Equatable, Sendable {
    let key: String
    let value: JSON
  }

  /// An object. A pair without a value is omitted.
  package init(_ pairs: KeyValuePairs<String, JSON?>) {
    self = .object(pairs.compactMap { key, value in value.map { Pair(key: key, value: $0) } })
  }

  /// A number; `nil` for `nil`.
  package static func number(_ value: (some BinaryInteger)?) -> JSON? {
    value.map { .number(Int($0)) }
  }

  /// A string; `nil` for `nil`.
  package static func string(_ value: String?) -> JSON? { value.map { .string($0) } }

  /// An array of strings.
  package static func strings(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }

  /// The object with more pairs at its end. Any other value is returned unchanged.
  package func adding(_ more: KeyValuePairs<String, JSON?>) -> JSON {
    guard case .object(let pairs) = self, case .object(let others) = JSON(more) else { return self }
    return .object(pairs + others)
  }

  /// The value as text.
  ///
  /// - Parameter isIndented: whether to write several indented lines, for people; otherwise one
  ///   line
  package func text(isIndented: Bool) -> String {
    var writer = Writer(isIndented: isIndented)
    writer.write(self, depth: 0)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

private struct Writer {
  let isIndented: Bool
  private(set) var bytes: [UInt8] = []

  init(isIndented: Bool) { self.isIndented = isIndented }

  mutating func write(_ value: JSON, depth: Int) {
    switch value {
    case .string(let text): write(text)
    case .number(let number): append(String(number))
    case .bool(let truth): append(truth ? "true" : "false")
    case .array(let items):
      list("[", "]", items, depth) { writer, item in writer.write(item, depth: depth + 1) }
    case .object(let pairs):
      list("{", "}", pairs, depth) { writer, pair in
        writer.write(pair.key)
        writer.append(writer.isIndented ? ": " : ":")
        writer.write(pair.value, depth: depth + 1)
      }
    }
  }

  private mutating func list<Item>(
    _ begin: String, _ end: String, _ items: [Item], _ depth: Int,
    _ writeItem: (inout Writer, Item) -> Void
  ) {
    append(begin)
    for (index, item) in items.enumerated() {
      if index > 0 { append(",") }
      startLine(depth + 1)
      writeItem(&self, item)
    }
    if !items.isEmpty { startLine(depth) }
    append(end)
  }

  private mutating func startLine(_ depth: Int) {
    if !isIndented { return }
    bytes.append(UInt8(ascii: "\n"))
    bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
  }

  private mutating func append(_ text: String) { bytes += text.utf8 }

  private mutating func write(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    defer { bytes.append(UInt8(ascii: "\"")) }
    // Fast path for almost all texts: writing scalar by scalar takes several times as long.
    if text.utf8.allSatisfy(Writer.isPlain) { return append(text) }
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": append("\\\"")
      case "\\": append("\\\\")
      case "\n": append("\\n")
      case "\t": append("\\t")
      case " "..."~": bytes.append(UInt8(scalar.value))
      default: write(unusual: scalar)
      }
    }
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    (0x20...0x7e).contains(byte) && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
  }

  /// Writes an unusual character. All control characters are escaped, more than JSON needs, because
  /// a terminal may show the text.
  private mutating func write(unusual scalar: Unicode.Scalar) {
    if !scalar.isControl { return bytes += String(scalar).utf8 }
    for unit in String(scalar).utf16 {
      let digits = String(unit, radix: 16)
      append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
    }
  }
}
