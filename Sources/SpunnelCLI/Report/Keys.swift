// Keys that a person presses on a terminal under --watch, and screens that they act on.

import Glibc
import SpunnelSystem

/// A key, as xterm and its like send it.
package enum Key: Equatable, Sendable {
  case up, down, pageUp, pageDown, home, end, enter, escape
  case letter(Character)

  /// What stands behind ESC.
  private static let sequences: [(bytes: String, key: Key)] = [
    ("[A", .up), ("OA", .up), ("[B", .down), ("OB", .down), ("[5~", .pageUp), ("[6~", .pageDown),
    ("[H", .home), ("OH", .home), ("[1~", .home), ("[F", .end), ("OF", .end), ("[4~", .end),
  ]

  /// Reads what came at once: a sequence is sent as a whole. What is no key of these is left out.
  package static func read(_ bytes: [UInt8]) -> [Key] {
    var keys: [Key] = []
    var rest = bytes[...]
    while let byte = rest.popFirst() {
      switch byte {
      case 0x1B:
        if let found = sequences.first(where: { rest.starts(with: $0.bytes.utf8) }) {
          keys.append(found.key)
          rest = rest.dropFirst(found.bytes.utf8.count)
        } else if rest.isEmpty {
          keys.append(.escape)
        } else {
          // An unknown key: its bytes up to the letter that ends it are skipped.
          rest = rest.drop { !(0x41...0x7E).contains($0) || $0 == 0x5B || $0 == 0x4F }.dropFirst()
        }
      case 10, 13: keys.append(.enter)
      case 0x20..<0x7F: keys.append(.letter(Character(Unicode.Scalar(byte))))
      default: break
      }
    }
    return keys
  }
}

/// What is to be done after a key.
package enum KeyOutcome: Sendable { case nothing, redraw, look, quit }

/// A screen on which keys act. It knows what was reported last.
package protocol KeyedScreen: AnyObject {
  /// The lines of a terminal of this size.
  func lines(columns: Int, rows: Int) -> [ScreenLine]
  func press(_ key: Key) -> KeyOutcome
}

/// A line of a screen; it is cut where the terminal ends.
package struct ScreenLine: Equatable, Sendable {
  package enum Style: Sendable { case plain, dim, chosen }

  package let text: String
  package let style: Style

  package init(_ text: String, _ style: Style = .plain) { (self.text, self.style) = (text, style) }
}

extension Screen {
  /// Draws lines over what is there (ECMA-48, SGR for their style).
  package static func frame(_ lines: [ScreenLine], columns: Int, rows: Int) -> String {
    let drawn = lines.prefix(max(0, rows)).map { line in
      let text = String(line.text.prefix(columns))
      switch line.style {
      case .plain: return text + "\u{1B}[K"
      case .dim: return "\u{1B}[2m" + text + "\u{1B}[0m\u{1B}[K"
      case .chosen: return "\u{1B}[7m" + text + "\u{1B}[0m\u{1B}[K"
      }
    }
    return "\u{1B}[H" + drawn.joined(separator: "\r\n") + "\u{1B}[J"
  }
}

/// Standard input, a key at a time (termios(3)); the terminal is as before when it is given back.
struct Keyboard {
  private let before: termios

  /// - Returns: `nil` when standard input is no terminal
  init?() {
    var state = termios()
    guard unsafe tcgetattr(STDIN_FILENO, &state) == 0 else { return nil }
    before = state
  }

  func take() {
    var state = before
    state.c_lflag &= ~tcflag_t(ICANON | ECHO)
    _ = unsafe tcsetattr(STDIN_FILENO, TCSADRAIN, &state)
  }

  func giveBack() {
    var state = before
    _ = unsafe tcsetattr(STDIN_FILENO, TCSADRAIN, &state)
  }

  /// - Returns: empty when the terminal is gone
  func keys() -> [Key]? {
    var buffer = [UInt8](repeating: 0, count: 256)
    let count = unsafe Glibc.read(STDIN_FILENO, &buffer, buffer.count)
    return count > 0 ? Key.read(Array(buffer.prefix(count))) : nil
  }
}
