// The synopsis of the manual page in mdoc(7), made from the table.

enum Manual {
  /// The hidden command that prints the synopsis, for Tools/manual.
  static let question = "__manual"

  /// The SYNOPSIS section: all commands in all their forms.
  ///
  /// - Parameter root: the root of the table
  package static func synopsis(of root: CommandSpec) -> String {
    let others = [".Nm", ".Cm help", ".Op Ar command", ".Nm", ".Fl -help | -version"]
    return ([".Sh SYNOPSIS"] + lines([root]) + others).joined(separator: "\n")
  }

  private static func lines(_ path: [CommandSpec]) -> [String] {
    guard let command = path.last, !command.isHidden else { return [] }
    var lines: [String] = []
    if command.action != nil {
      let options = path.options.filter { !["help", "version"].contains($0.long) }
      for form in Synopsis(command, options).forms {
        lines += [".Nm"]
        if path.count > 1 {
          lines += [".Cm " + path.dropFirst().map(\.name).joined(separator: " ")]
        }
        lines += form.map { "." + macros($0) }
      }
    }
    return lines + command.subcommands.flatMap { Manual.lines(path + [$0]) }
  }

  /// A usage line as macros: `JOB[.STEP]…` becomes `Ar job Ns Oo . Ns Ar step Oc ...`.
  private static func macros(_ words: String) -> String {
    var result = ""
    var isGlued = false
    var rest = words[...]
    while let first = rest.first {
      if first == " " {
        rest.removeFirst()
        isGlued = false
        continue
      }
      let (macro, count) = macro(rest)
      result += (result.isEmpty ? "" : isGlued && macro != "Oc" && macro != "..." ? " Ns " : " ")
      result += macro
      isGlued = macro != "Oo"
      rest = rest.dropFirst(count)
    }
    return result
  }

  /// The macro for the beginning of a text, and the number of characters that it covers.
  private static func macro(_ text: Substring) -> (text: String, count: Int) {
    switch text.first {
    case "[": return ("Oo", 1)
    case "]": return ("Oc", 1)
    case "…": return ("...", 1)
    case "-":
      let option = text.prefix { $0.isLetter || $0 == "-" }
      return (option == "--" ? "No --" : "Fl \(option.dropFirst())", option.count)
    case .some(let letter) where letter.isUppercase:
      let name = text.prefix { $0.isUppercase || $0 == "_" }
      return ("Ar \(name.lowercased())", name.count)
    case .some(let letter) where letter.isLetter:
      let word = text.prefix { $0.isLetter || $0 == "'" || $0 == " " }
      return ("Ar \"\(word)\"", word.count)
    default: return ("No \\&\(text.prefix(1))", 1)
    }
  }
}
