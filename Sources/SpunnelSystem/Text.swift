// Text from outside: shown safely, read strictly.

/// Makes text safe to show on a terminal and in a line-based file, and short.
///
/// - Parameters:
///   - text: anything, newlines and escapes included
///   - limit: characters after which it is cut
/// - Returns: the text with every control character as `?`, those that break lines or turn the
///   direction of writing included
public func printable(_ text: some StringProtocol, atMost limit: Int = 200) -> String {
  var shown = ""
  for scalar in text.unicodeScalars.prefix(limit) {
    shown.unicodeScalars.append(scalar.isControl ? "?" : scalar)
  }
  return shown.unicodeScalars.count < text.unicodeScalars.count ? shown + "…" : shown
}

extension Unicode.Scalar {
  /// Whether it does something to a terminal or to the text around it rather than being seen.
  public var isControl: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}

/// One word for a POSIX shell, which takes what is in single quotes literally.
///
/// - Parameter word: anything
public func shellQuoted(_ word: String) -> String {
  let parts = word.split(separator: "'", omittingEmptySubsequences: false)
  return "'" + parts.joined(separator: "'\\''") + "'"
}

/// Reads a whole number.
///
/// - Parameter text: digits alone: no sign, no space
/// - Returns: `nil` for anything else, and for a number that is too large
public func wholeNumber(_ text: some StringProtocol) -> Int? {
  guard !text.isEmpty, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
  else { return nil }
  return Int(text)
}

extension StringProtocol {
  /// Whether some words stand in the text, byte by byte: what programs write is not composed anew.
  public func mentions(_ words: some StringProtocol) -> Bool {
    var rest = utf8[...]
    while rest.count >= words.utf8.count {
      if rest.starts(with: words.utf8) { return true }
      rest.removeFirst()
    }
    return false
  }
}
