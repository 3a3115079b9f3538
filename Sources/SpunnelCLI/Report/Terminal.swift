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
    // A terminal that does not know its size reports 0.
    let size = StandardStream.output.size ?? (0, 0)
    try StandardStream.output.put(
      Screen.frame(
        text, columns: size.columns > 0 ? size.columns : 80, rows: size.rows > 0 ? size.rows : 24))
  }
}
