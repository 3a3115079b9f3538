// The shells that spunnelctl cluster env writes for.

import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

/// A kind of shell, by how it sets variables.
enum Shell: String, CaseIterable {
  case sh, csh, fish

  /// The user's own.
  static var current: Shell {
    switch Process.environment("SHELL")?.split(separator: "/").last {
    case "csh", "tcsh": .csh
    case "fish": .fish
    default: .sh
    }
  }

  /// - Returns: a command that gives a variable to programs that are started
  func setting(_ name: String, _ value: String) -> String {
    switch self {
    case .sh: "export \(name)=\(shellQuoted(value))"
    case .csh: "setenv \(name) \(shellQuoted(value));"
    case .fish: "set -gx \(name) \(shellQuoted(value));"
    }
  }

  /// - Returns: a command that puts folders before those of a variable, which may not be set
  func prepending(_ folders: [String], to name: String) -> String {
    let list = shellQuoted(folders.joined(separator: ":"))
    switch self {
    case .sh: return "export \(name)=\(list)${\(name):+:$\(name)}"
    case .csh:
      // A variable that is not set is an error there.
      let isSet = Process.environment(name).map { !$0.isEmpty } ?? false
      return "setenv \(name) \(list)\(isSet ? ":\"$\(name)\"" : "");"
    case .fish:
      // Variables whose names end in PATH are lists there.
      return "set -gx \(name) \(folders.map { shellQuoted($0) }.joined(separator: " ")) $\(name);"
    }
  }
}
