// `--help` at each level, made from the table. Lines have at most 80 columns.

/// The help text of one command.
package struct Help {
  static let width = 80

  private let path: [CommandSpec]
  private let spec: CommandSpec

  /// - Parameter path: the commands from the root to the one to describe
  package init(_ path: [CommandSpec]) {
    self.path = path
    spec = path.last ?? CommandSpec("", "")
  }

  /// The whole help text, without a final newline.
  package var text: String {
    var parts = [usage, Help.folded(spec.summary)]
    if !spec.subcommands.isEmpty {
      parts.append(
        section(
          "Commands",
          spec.subcommands.filter { !$0.isHidden }.map { ($0.name, $0.summary) }))
    }
    parts.append(
      section("Options", path.options.filter { !$0.isHidden }.map { ($0.helpTitle, $0.summary) }))
    if let foreign = spec.foreignOptions {
      parts.append(
        Help.folded("All other options go to \(foreign.program) as they are."))
    }
    if !spec.details.isEmpty { parts.append(Help.folded(spec.details)) }
    if !spec.examples.isEmpty {
      parts.append(section("Examples", spec.examples.map { ($0.line, $0.meaning) }))
    }
    if !spec.exitStatuses.isEmpty {
      parts.append(section("Exit status", spec.exitStatuses.map { ($0.status, $0.meaning) }))
    }
    return parts.joined(separator: "\n\n")
  }

  private var usage: String {
    let names = path.map(\.name).joined(separator: " ")
    return Synopsis(spec, path.options.filter { $0.long != "help" && $0.long != "version" }).forms
      .enumerated()
      .map { index, words in
        let start = (index == 0 ? "usage: " : "       ") + names
        return Help.filled([start] + words, indent: start.count + 1).joined(separator: "\n")
      }
      .joined(separator: "\n")
  }

  private func section(_ title: String, _ rows: [(left: String, right: String)]) -> String {
    "\(title):\n" + Help.rows(rows)
  }

  /// Two columns. If the left text is too wide, the right text begins on the next line.
  static func rows(_ rows: [(left: String, right: String)]) -> String {
    let widest = rows.map(\.left.count).filter { $0 <= 28 }.max() ?? 28
    let indent = widest + 4
    return rows.flatMap { left, right in
      var lines = filled(
        [String(repeating: " ", count: indent - 1)]
          + right.split(separator: " ").map(String.init), indent: indent)
      if left.count <= widest {
        let rest = lines.isEmpty ? "" : String(lines[0].dropFirst(2 + left.count))
        lines = ["  \(left)\(rest)"] + lines.dropFirst()
        return lines
      }
      return ["  \(left)"] + lines
    }
    .joined(separator: "\n")
  }

  /// Paragraphs with wrapped lines. A line that begins with a space is kept.
  static func folded(_ text: String) -> String {
    var result: [String] = []
    var paragraph: [String] = []
    func close() {
      if !paragraph.isEmpty { result += filled(paragraph, indent: 0) }
      paragraph = []
    }
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.isEmpty || line.hasPrefix(" ") {
        close()
        result.append(String(line))
      } else {
        paragraph += line.split(separator: " ").map(String.init)
      }
    }
    close()
    return result.joined(separator: "\n")
  }

  /// Lines of words. Every line but the first is indented.
  static func filled(_ words: [String], indent: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in words {
      if line.isEmpty {
        line = word
      } else if line.count + 1 + word.count <= width {
        line += " " + word
      } else {
        lines.append(line)
        line = String(repeating: " ", count: indent) + word
      }
    }
    return line.isEmpty ? lines : lines + [line]
  }
}

extension OptionSpec {
  /// The option's names and value: `-n, --name NAME`.
  var helpTitle: String {
    let names = [letter.map { "-\($0)" }, long.map { "--\($0)" }].compactMap { $0 }
    let indent = letter == nil ? "    " : ""
    return indent + names.joined(separator: ", ") + valueTitle
  }

  /// The value in a usage line: ` NAME`, `[=NAME]` or nothing.
  var valueTitle: String {
    switch arity {
    case .flag: ""
    case .value: " \(placeholder)"
    case .optionalValue: long == nil ? "[\(placeholder)]" : "[=\(placeholder)]"
    }
  }
}
