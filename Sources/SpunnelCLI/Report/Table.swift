// A table for people. Each column is as wide as its widest cell, with two spaces between columns.
// If the terminal is narrower, the widest cells are folded.

import SpunnelSystem

/// A table of cells that are safe to print.
package struct Table {
  private static let gap = 2
  /// The least width of a column. A column is never narrower than its title.
  private static let narrowest = 6

  /// What the colour of a cell means.
  package enum Mood: String, Sendable {
    case good = "32"
    case pending = "33"
    case bad = "31"
  }

  private let columnCount: Int
  /// Row by row, in one array: a table may have a hundred thousand rows.
  private var cells: [String]
  private var moods: [Int: [Int: Mood]] = [:]
  /// Of the widest cells.
  private var widths: [Int]

  /// - Parameter titles: the cells of the first row
  package init(_ titles: [String]) {
    columnCount = titles.count
    cells = titles
    widths = titles.map(\.count)
  }

  /// Adds a row.
  ///
  /// - Parameters:
  ///   - row: one cell for each title; control characters are escaped, and long cells are cut
  ///   - moods: the mood of each column, shown on a terminal only
  package mutating func add(_ row: [String], moods: [Int: Mood] = [:]) {
    if !moods.isEmpty { self.moods[cells.count / columnCount] = moods }
    for (column, text) in row.enumerated() {
      let cell = cell(text)
      cells.append(cell)
      widths[column] = max(widths[column], Table.width(cell))
    }
  }

  /// The table for standard output: folded and coloured if that is a terminal.
  package var text: String {
    text(columns: StandardStream.output.size?.columns, inColour: Colours.areWanted)
  }

  /// - Parameters:
  ///   - columns: the width of the terminal; `nil` or 0 for no limit
  ///   - inColour: whether to show moods
  package func text(columns: Int?, inColour: Bool = false) -> String {
    let widths = fitted(to: columns ?? 0)
    let isFolded = widths != self.widths
    var bytes: [UInt8] = []
    bytes.reserveCapacity((widths.reduce(0, +) + 2 * columnCount) * (cells.count / columnCount))
    for row in 0..<cells.count / columnCount {
      if row > 0 { bytes.append(10) }
      let cells = cells[row * columnCount..<(row + 1) * columnCount]
      let moods = inColour ? moods[row] ?? [:] : [:]
      if isFolded {
        bytes += Table.folded(Array(cells), widths, moods).utf8
      } else {
        Table.write(cells, widths, moods, to: &bytes)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// A row over several lines. A folded cell continues below itself.
  private static func folded(_ cells: [String], _ widths: [Int], _ moods: [Int: Mood]) -> String {
    let folded = cells.enumerated().map { fold($1, widths[$0]) }
    let height = folded.map(\.count).max() ?? 0
    var bytes: [UInt8] = []
    for index in 0..<height {
      if index > 0 { bytes.append(10) }
      write(folded.map { index < $0.count ? $0[index] : "" }[...], widths, moods, to: &bytes)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The widths of the columns. The widest column shrinks until the table fits.
  private func fitted(to columns: Int) -> [Int] {
    var widths = widths
    if columns <= 0 { return widths }
    let least = cells.prefix(columnCount).map { max($0.count, Table.narrowest) }
    var excess = widths.reduce(0, +) + Table.gap * (widths.count - 1) - columns
    while excess > 0 {
      let shrinkable = widths.indices.filter { widths[$0] > least[$0] }
      guard let widest = shrinkable.max(by: { widths[$0] < widths[$1] }) else { break }
      widths[widest] -= 1
      excess -= 1
    }
    return widths
  }

  /// The lines of a folded cell. A line breaks after a space or a comma if it has one.
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

  private static func write(
    _ cells: ArraySlice<String>, _ widths: [Int], _ moods: [Int: Mood], to bytes: inout [UInt8]
  ) {
    var gap = 0
    for (column, cell) in cells.enumerated() {
      // The last cell of a line gets no padding.
      if !cell.isEmpty {
        for _ in 0..<gap { bytes.append(32) }
        bytes += (moods.isEmpty ? cell : Colours.paint(cell, moods[column])).utf8
        gap = 0
      }
      gap += widths[column] - width(cell) + Table.gap
    }
  }

  /// Characters; most cells have a byte for each.
  private static func width(_ cell: String) -> Int {
    cell.utf8.allSatisfy { $0 < 0x80 } ? cell.utf8.count : cell.count
  }

  private func cell(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { 0x20..<0x7f ~= $0 }
    return isPlain && text.utf8.count <= 200 ? text : printable(text)
  }
}

/// Colours, for a terminal that shows them, unless the user wants none (no-color.org).
package enum Colours {
  /// Whether standard output is a terminal with colours, and `NO_COLOR` is empty or unset.
  package static var areWanted: Bool {
    let isOff = Process.environment("NO_COLOR").map { !$0.isEmpty } ?? false
    return !isOff && Process.environment("TERM").map { $0 != "dumb" && !$0.isEmpty } ?? false
      && StandardStream.output.size != nil
  }

  /// - Parameter mood: the mood; `nil` leaves the text as it is
  static func paint(_ text: String, _ mood: Table.Mood?) -> String {
    mood.map { "\u{1B}[\($0.rawValue)m\(text)\u{1B}[0m" } ?? text
  }
}
