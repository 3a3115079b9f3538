// The terminal under `--watch`: switched to a screen of its own, and restored.

import SpunnelSystem

struct Terminal {
  /// - Returns: `nil` when standard output is not a terminal, or the terminal cannot redraw
  init?() {
    if StandardStream.output.size == nil { return nil }
    if Process.environment("TERM") == "dumb" { return nil }
  }

  func take() { StandardStream.output.write(Screen.enter) }

  func giveBack() { StandardStream.output.write(Screen.leave) }

  func draw(_ text: String) throws(SystemError) {
    let (columns, rows) = size
    try StandardStream.output.put(Screen.frame(text, columns: columns, rows: rows))
  }

  func draw(_ screen: any KeyedScreen) throws(SystemError) {
    let (columns, rows) = size
    let lines = screen.lines(columns: columns, rows: rows)
    try StandardStream.output.put(Screen.frame(lines, columns: columns, rows: rows))
  }

  /// A terminal that does not know its size reports 0.
  private var size: (columns: Int, rows: Int) {
    let size = StandardStream.output.size ?? (0, 0)
    return (size.columns > 0 ? size.columns : 80, size.rows > 0 ? size.rows : 24)
  }
}
