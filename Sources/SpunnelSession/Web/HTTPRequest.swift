// The head of an HTTP/1.1 request, read strictly: what two programs could understand differently is refused.

/// A request line and its fields (RFC 9112, sections 3 and 5).
struct HTTPRequest: Equatable, Sendable {
  struct Field: Equatable, Sendable {
    /// In lower case.
    let name: String
    let value: String
  }

  /// The longest head that is read, in bytes.
  static let longest = 1 << 15
  static let end: [UInt8] = [13, 10, 13, 10]

  let method: String
  /// The path with its query; it begins with a slash.
  let target: String
  let fields: [Field]

  /// - Parameter head: without the empty line
  init?(head: some Collection<UInt8>) {
    var lines = HTTPRequest.lines(Array(head))
    guard !lines.isEmpty, let first = HTTPRequest.text(lines.removeFirst()) else { return nil }
    let words = first.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, HTTPRequest.isToken(words[0]), words[1].hasPrefix("/"),
      words[1].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
      words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0"
    else { return nil }
    method = String(words[0])
    target = String(words[1])
    var found: [Field] = []
    for line in lines {
      guard let field = HTTPRequest.field(line) else { return nil }
      found.append(field)
    }
    fields = found
  }

  /// The path without its query.
  var path: String { String(target.prefix { $0 != "?" }) }

  /// The value of the only field of that name.
  ///
  /// - Parameter name: in lower case
  /// - Returns: `nil` when there is none, or more than one
  func value(of name: String) -> String? {
    let all = fields.filter { $0.name == name }
    return all.count == 1 ? all[0].value : nil
  }

  func has(_ name: String) -> Bool { fields.contains { $0.name == name } }

  /// Whether the browser asks to go on with another protocol on this connection.
  var isUpgrade: Bool { has("upgrade") }

  /// The values of a cookie of that name, by all Cookie fields.
  func cookies(_ name: String) -> [Substring] {
    var found: [Substring] = []
    for field in fields where field.name == "cookie" {
      for cookie in HTTPRequest.cookies(in: field.value) where cookie.hasPrefix(name + "=") {
        found.append(cookie.dropFirst(name.count + 1))
      }
    }
    return found
  }

  /// The cookies of a field's value, each as `NAME=value`.
  static func cookies(in value: String) -> [Substring] {
    value.split(separator: ";").map { $0.drop { $0 == " " } }
  }

  /// Splits at CR LF.
  private static func lines(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var lines: [ArraySlice<UInt8>] = []
    var start = 0
    var index = 0
    while index + 1 < bytes.count {
      if bytes[index] == 13, bytes[index + 1] == 10 {
        lines.append(bytes[start..<index])
        start = index + 2
        index = start
      } else {
        index += 1
      }
    }
    lines.append(bytes[start...])
    return lines
  }

  /// - Returns: `nil` for control characters and what is no UTF-8
  private static func text(_ line: ArraySlice<UInt8>) -> String? {
    guard line.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 9 }) else { return nil }
    let text = String(decoding: line, as: UTF8.self)
    return text.utf8.elementsEqual(line) ? text : nil
  }

  /// A line that begins with white space continues the one before (obs-fold), and is refused.
  private static func field(_ line: ArraySlice<UInt8>) -> Field? {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")),
      let name = text(line[..<colon]), isToken(name), let value = text(line[(colon + 1)...])
    else { return nil }
    let blanks: Set<Character> = [" ", "\t"]
    let start = value.drop { blanks.contains($0) }
    let trimmed = start.reversed().drop { blanks.contains($0) }.reversed()
    return Field(name: name.lowercased(), value: String(trimmed))
  }

  private static func isToken(_ text: some StringProtocol) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
      }
  }
}
