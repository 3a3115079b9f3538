// Text from outside: shown safely, parsed strictly.

/// Makes text short and safe to show on a terminal and in a line-based file.
///
/// - Parameters:
///   - text: any text, including newlines and escape sequences
///   - limit: the most characters to show
/// - Returns: the text with `?` for each control character, including line separators and
///   characters that change the writing direction
public func printable(_ text: some StringProtocol, atMost limit: Int = 200) -> String {
  var shown = ""
  for scalar in text.unicodeScalars.prefix(limit) {
    shown.unicodeScalars.append(scalar.isControl ? "?" : scalar)
  }
  return shown.unicodeScalars.count < text.unicodeScalars.count ? shown + "…" : shown
}

extension Unicode.Scalar {
  /// Whether the character controls a terminal or the text around it, instead of being visible.
  public var isControl: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}

/// Quotes one word for a POSIX shell. The shell takes text in single quotes literally.
///
/// - Parameter word: any text
public func shellQuoted(_ word: String) -> String {
  let parts = word.split(separator: "'", omittingEmptySubsequences: false)
  return "'" + parts.joined(separator: "'\\''") + "'"
}

/// One word for a POSIX shell, in quotes only where it needs them.
public func shellWord(_ word: String) -> String {
  let isPlain = word.utf8.allSatisfy { byte in
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
      || "_-./:@%+,".utf8.contains(byte)
  }
  return isPlain && !word.isEmpty ? word : shellQuoted(word)
}

/// Parses a whole number.
///
/// - Parameter text: digits only: no sign, no space
/// - Returns: `nil` for any other text, and for a number that is too large
public func wholeNumber(_ text: some StringProtocol) -> Int? {
  guard !text.isEmpty, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
  else { return nil }
  return Int(text)
}

extension StringProtocol {
  /// Whether the text contains some words, compared byte by byte. Programs' output is not
  /// normalized, so Unicode equivalence is not needed.
  public func mentions(_ words: some StringProtocol) -> Bool {
    var rest = utf8[...]
    while rest.count >= words.utf8.count {
      if rest.starts(with: words.utf8) { return true }
      rest.removeFirst()
    }
    return false
  }
}
