// The escape sequences that redraw a terminal in place (ECMA-48, and xterm's private modes, which
// all current terminals have).

/// The escape sequences for a terminal that is redrawn in place.
package enum Screen {
  /// Switches to the alternate screen, hides the cursor, and turns off line wrap. `leave` restores
  /// the old screen.
  package static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
  /// Undoes `enter`.
  package static let leave = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

  /// A frame that overwrites the previous one. Nothing is cleared first, so nothing flickers.
  ///
  /// - Parameters:
  ///   - text: the lines to show
  ///   - columns: the width of the terminal; longer lines are folded, so that their ends stay
  ///     visible
  ///   - rows: the height of the terminal; if there are more lines, the last row says how many are
  ///     hidden
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
    // Colours take no columns. A line that is still too long is shown without colours.
    if line.contains("\u{1B}") {
      let plain = withoutColours(line)
      return plain.count <= columns ? [String(line)] : folded(plain[...], columns)
    }
    return [String(line.prefix(columns))] + folded(line.dropFirst(columns), columns)
  }
}
