// A terminal that is redrawn in place: what must be written for it (ECMA-48, and xterm's private
// modes, which every terminal of today has).

package enum Screen {
  /// Takes the other screen, so that what stood there comes back; no cursor, no broken lines.
  package static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
  /// Undoes `enter`.
  package static let leave = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

  /// Draws over what is there without clearing it first, so that nothing flickers.
  ///
  /// - Parameters:
  ///   - text: lines
  ///   - columns: of the terminal; longer lines are folded: what is at their end matters, too
  ///   - rows: of the terminal; when there are more lines, the last row counts the others
  package static func frame(_ text: String, columns: Int, rows: Int) -> String {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      .flatMap { folded($0, columns) }
    if lines.count > rows, rows > 0 {
      let hidden = lines.count - rows + 1
      lines.removeLast(hidden)
      lines.append(String("… \(hidden) more lines".prefix(columns)))
    }
    let drawn = lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n")
    return "\u{1B}[H" + drawn + "\u{1B}[J"
  }

  private static func withoutColours(_ line: Substring) -> String {
    var plain = ""
    var rest = line
    while let escape = rest.firstIndex(of: "\u{1B}") {
      plain += rest[..<escape]
      rest = rest[escape...].drop { $0 != "m" }.dropFirst()
    }
    return plain + rest
  }

  private static func folded(_ line: Substring, _ columns: Int) -> [String] {
    if columns < 1 || line.count <= columns { return [String(line)] }
    // Colours take no room. A line that is too long all the same goes without them.
    if line.contains("\u{1B}") {
      let plain = withoutColours(line)
      return plain.count <= columns ? [String(line)] : folded(plain[...], columns)
    }
    return [String(line.prefix(columns))] + folded(line.dropFirst(columns), columns)
  }
}
