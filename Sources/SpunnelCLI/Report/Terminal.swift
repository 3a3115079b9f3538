// The terminal under --watch: taken, drawn on, and given back as it was.

import SpunnelSystem

struct Terminal {
  /// - Returns: `nil` when standard output is none, or one that only prints
  init?() {
    if StandardStream.output.size == nil { return nil }
    if Process.environment("TERM") == "dumb" { return nil }
  }

  func take() { StandardStream.output.write(Screen.enter) }

  func giveBack() { StandardStream.output.write(Screen.leave) }

  func draw(_ text: String) throws(SystemError) {
    // One that does not know its size says 0.
    let size = StandardStream.output.size ?? (0, 0)
    try StandardStream.output.put(
      Screen.frame(
        text, columns: size.columns > 0 ? size.columns : 80, rows: size.rows > 0 ? size.rows : 24))
  }
}
