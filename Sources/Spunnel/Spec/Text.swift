// Text from outside: shown safely, read strictly.

/// Makes text safe to show on a terminal and in a line-based file, and short.
///
/// - Parameter text: anything, newlines and escapes included
/// - Returns: the text with every control character as `?`, cut after 200 characters
public func printable(_ text: some StringProtocol) -> String {
  var shown = ""
  for scalar in text.unicodeScalars.prefix(200) {
    let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
    shown.unicodeScalars.append(isControl ? "?" : scalar)
  }
  return shown.unicodeScalars.count < text.unicodeScalars.count ? shown + "…" : shown
}

/// Reads a whole number of digits alone: no sign, no space.
func wholeNumber(_ text: some StringProtocol) -> Int? {
  guard !text.isEmpty, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
  else { return nil }
  return Int(text)
}
