// A table for people: columns as wide as their widest cell, two spaces between them.

import SpunnelSystem

package struct Table {
  private var rows: [[String]]

  /// - Parameter titles: the first row
  package init(_ titles: [String]) { rows = [titles] }

  /// - Parameter row: as many cells as there are titles; each is made safe to show, and cut
  package mutating func add(_ row: [String]) { rows.append(row.map { cell($0) }) }

  package var text: String {
    var widths = [Int](repeating: 0, count: rows[0].count)
    let sized = rows.map { row in row.map { ($0, $0.count) } }
    for row in sized {
      for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.1) }
    }
    return sized.map { line($0, widths) }.joined(separator: "\n")
  }

  private func line(_ row: [(text: String, width: Int)], _ widths: [Int]) -> String {
    var line = ""
    var gap = 0
    for (column, cell) in row.enumerated() {
      // Nothing is filled up at the end of a line.
      if cell.width > 0 {
        line += String(repeating: " ", count: gap) + cell.text
        gap = 0
      }
      gap += widths[column] - cell.width + 2
    }
    return line
  }

  private func cell(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { 0x20..<0x7f ~= $0 }
    return isPlain && text.utf8.count <= 200 ? text : printable(text)
  }
}
