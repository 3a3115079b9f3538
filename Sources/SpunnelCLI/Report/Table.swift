// A table for people: columns as wide as their widest cell, two spaces between them. On a terminal a table
// that is too wide folds its widest cells, so that no line breaks.

import SpunnelSystem

package struct Table {
  private static let gap = 2
  /// Columns are not made narrower than this, or than their title.
  private static let narrowest = 6

  /// What a cell's colour says.
  package enum Mood: String, Sendable {
    case good = "32"
    case pending = "33"
    case bad = "31"
  }

  private typealias Row = (cells: [String], moods: [Int: Mood])

  private var rows: [Row]

  /// - Parameter titles: the first row
  package init(_ titles: [String]) { rows = [(titles, [:])] }

  /// - Parameters:
  ///   - row: as many cells as there are titles; each is made safe to show, and cut
  ///   - moods: by column; shown on a terminal alone
  package mutating func add(_ row: [String], moods: [Int: Mood] = [:]) {
    rows.append((row.map { cell($0) }, moods))
  }

  /// As standard output takes it.
  package var text: String {
    text(columns: StandardStream.output.size?.columns, inColour: Colours.areWanted)
  }

  /// - Parameters:
  ///   - columns: of the terminal; `nil` or 0: any width will do
  ///   - inColour: whether moods are shown
  package func text(columns: Int?, inColour: Bool = false) -> String {
    let widths = fitted(to: columns ?? 0)
    return rows.map { row in
      // A folded cell goes on under itself.
      let folded = row.cells.enumerated().map { Table.fold($1, widths[$0]) }
      let height = folded.map(\.count).max() ?? 0
      return (0..<height).map { index in
        let parts = folded.map { index < $0.count ? $0[index] : "" }
        return line(parts, widths, inColour ? row.moods : [:])
      }
      .joined(separator: "\n")
    }
    .joined(separator: "\n")
  }

  /// The columns' widths: the widest give way until the table fits.
  private func fitted(to columns: Int) -> [Int] {
    var widths = [Int](repeating: 0, count: rows[0].cells.count)
    for row in rows {
      for (column, cell) in row.cells.enumerated() {
        widths[column] = max(widths[column], cell.count)
      }
    }
    if columns <= 0 { return widths }
    let least = rows[0].cells.map { max($0.count, Table.narrowest) }
    var excess = widths.reduce(0, +) + Table.gap * (widths.count - 1) - columns
    while excess > 0 {
      let shrinkable = widths.indices.filter { widths[$0] > least[$0] }
      guard let widest = shrinkable.max(by: { widths[$0] < widths[$1] }) else { break }
      widths[widest] -= 1
      excess -= 1
    }
    return widths
  }

  /// A cell over several lines: broken behind a space or a comma where there is one.
  static func fold(_ text: String, _ width: Int) -> [String] {
    if width <= 0 || text.count <= width { return [text] }
    let head = text.prefix(width)
    let isWhole = text[head.endIndex] == " "
    let end =
      isWhole
      ? head.endIndex
      : head.lastIndex { " ,".contains($0) }.map { text.index(after: $0) } ?? head.endIndex
    let rest = text[end...].drop { $0 == " " }
    var first = text[..<end]
    while first.last == " " { first = first.dropLast() }
    return [String(first)] + fold(String(rest), width)
  }

  private func line(_ cells: [String], _ widths: [Int], _ moods: [Int: Mood]) -> String {
    var line = ""
    var gap = 0
    for (column, cell) in cells.enumerated() {
      // Nothing is filled up at the end of a line.
      if !cell.isEmpty {
        line += String(repeating: " ", count: gap) + Colours.paint(cell, moods[column])
        gap = 0
      }
      gap += widths[column] - cell.count + Table.gap
    }
    return line
  }

  private func cell(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { 0x20..<0x7f ~= $0 }
    return isPlain && text.utf8.count <= 200 ? text : printable(text)
  }
}

/// Colours on a terminal that shows them, unless the user wants none (no-color.org).
package enum Colours {
  package static var areWanted: Bool {
    let isOff = Process.environment("NO_COLOR").map { !$0.isEmpty } ?? false
    return !isOff && Process.environment("TERM").map { $0 != "dumb" && !$0.isEmpty } ?? false
      && StandardStream.output.size != nil
  }

  /// - Parameter mood: `nil`: as it is
  static func paint(_ text: String, _ mood: Table.Mood?) -> String {
    mood.map { "\u{1B}[\($0.rawValue)m\(text)\u{1B}[0m" } ?? text
  }
}
