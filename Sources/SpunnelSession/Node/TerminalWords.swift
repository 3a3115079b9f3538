// What the user's terminal is, as the attach step on the node sees it.

import SpunnelSystem

enum TerminalWords {
  /// A terminal that every terminfo database knows and most terminals understand.
  private static let usual = "xterm-256color"
  private static let patience = 2000

  /// Whether the user's locale says so, by the variables that the attach brought along.
  static var isUTF8: Bool {
    for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
      guard let value = Process.environment(name), !value.isEmpty else { continue }
      let plain = value.lowercased()
      return plain.hasSuffix("utf-8") || plain.hasSuffix("utf8")
    }
    return false
  }

  /// A name that this node's terminfo knows: a terminal of today is often unknown to a node of yesterday, and
  /// tmux refuses it then.
  static func name(_ wanted: String?) -> String {
    guard let wanted, !wanted.isEmpty else { return usual }
    guard let infocmp = Program.find("infocmp") else { return wanted }
    let program = Program(infocmp, ["-1", "--", wanted], environment: Process.environment())
    guard let result = try? program.capture(milliseconds: patience) else { return wanted }
    if !result.succeeded { return usual }
    // tmux cannot draw on a terminal that cannot be cleared.
    return result.output.split(separator: "\n").contains { $0.hasPrefix("\tclear=") }
      ? wanted : "vt100"
  }
}
