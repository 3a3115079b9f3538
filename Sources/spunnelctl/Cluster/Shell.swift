// The shells for which `spunnelctl cluster env` writes.

import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

/// A family of shells that set variables in the same way.
enum Shell: String, CaseIterable {
  case sh, csh, fish

  /// The family of the user's own shell.
  static var current: Shell {
    switch Process.environment("SHELL")?.split(separator: "/").last {
    case "csh", "tcsh": .csh
    case "fish": .fish
    default: .sh
    }
  }

  /// A command that sets an environment variable.
  func setting(_ name: String, _ value: String) -> String {
    switch self {
    case .sh: "export \(name)=\(shellQuoted(value))"
    case .csh: "setenv \(name) \(shellQuoted(value));"
    case .fish: "set -gx \(name) \(shellQuoted(value));"
    }
  }

  /// A command that puts folders in front of a variable, which may be unset.
  func prepending(_ folders: [String], to name: String) -> String {
    let list = shellQuoted(folders.joined(separator: ":"))
    switch self {
    case .sh: return "export \(name)=\(list)${\(name):+:$\(name)}"
    case .csh:
      // csh reports an error for an unset variable.
      let isSet = Process.environment(name).map { !$0.isEmpty } ?? false
      return "setenv \(name) \(list)\(isSet ? ":\"$\(name)\"" : "");"
    case .fish:
      // fish treats a variable whose name ends in PATH as a list.
      return "set -gx \(name) \(folders.map { shellQuoted($0) }.joined(separator: " ")) $\(name);"
    }
  }
}
