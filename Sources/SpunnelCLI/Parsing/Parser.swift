// Parses words into a command and its values.
//
// GNU's conventions hold: options may stand anywhere, `--` ends them, `--option=value` equals
// `--option value`, and letters may be bundled. Long options must be complete: an abbreviation
// could change its meaning with a new release.

import SpunnelSystem

/// What a command line asks for.
package enum Request: Sendable {
  case run(Call)
  /// Help on the last command of the path, which begins with the root.
  case help([CommandSpec])
  case version
}

/// Parses the command lines of one program.
package struct Parser {
  let root: CommandSpec

  package init(_ root: CommandSpec) { self.root = root }

  /// A wrong command line, and the command whose `--help` shows the right one.
  package struct Problem: Error {
    package let message: String
    /// The command in words: `spunnelctl cluster`.
    package let command: String
  }

  /// Parses a command line.
  ///
  /// - Parameter words: the words after the program's name
  package func parse(_ words: [ByteString]) throws(Problem) -> Request {
    if words.first?.text == "help", root.subcommand("help") == nil {
      return try help(on: words.dropFirst().map(\.text))
    }
    var path = [root]
    var rest = words
    while let (command, others) = try next(path, rest) {
      path.append(command)
      rest = others
    }
    var reader = CallReader(path: path, words: rest)
    do throws(Wrong) { return try reader.read() } catch { throw problem(error.message, path) }
  }

  /// The command that an incomplete line names, and the other words.
  func descend(_ words: [ByteString]) -> (path: [CommandSpec], rest: [ByteString]) {
    var path = [root]
    var rest = words
    while let (command, others) = try? next(path, rest) {
      path.append(command)
      rest = others
    }
    return (path, rest)
  }

  /// The subcommand that the first operand names, and the other words.
  private func next(
    _ path: [CommandSpec], _ words: [ByteString]
  ) throws(Problem) -> (CommandSpec, [ByteString])? {
    guard let command = path.last, !command.subcommands.isEmpty,
      let index = firstOperand(path, words)
    else { return nil }
    let name = words[index].text
    if let found = command.subcommand(name) {
      return (found, Array(words[..<index] + words[(index + 1)...]))
    }
    if command.action != nil { return nil }
    throw problem(Parser.unknownCommand(name, command), path)
  }

  private static func unknownCommand(_ name: String, _ command: CommandSpec) -> String {
    let known = command.subcommands.filter { !$0.isHidden }.map(\.name)
    let meant = Nearest.word(to: name, among: known).map { ": did you mean \($0)?" } ?? ""
    return "unknown command '\(printable(name))'\(meant)"
  }

  private func firstOperand(_ path: [CommandSpec], _ words: [ByteString]) -> Int? {
    let scope = path.scope(withOptionsBelow: true)
    var index = 0
    while index < words.count {
      let word = words[index].text
      if word == "--" { return nil }
      if word == "-" || !word.hasPrefix("-") { return index }
      switch scope.read(word) {
      case .options(_, wantsValue: true), .foreign(takesNext: true): index += 2
      default: index += 1
      }
    }
    return nil
  }

  private func help(on words: [String]) throws(Problem) -> Request {
    var path = [root]
    for word in words where !word.hasPrefix("-") {
      guard let command = path.last else { break }
      guard let found = command.subcommand(word) else {
        throw problem(Parser.unknownCommand(word, command), path)
      }
      path.append(found)
    }
    return .help(path)
  }

  private func problem(_ message: String, _ path: [CommandSpec]) -> Problem {
    let names = path.map(\.name)
    let prefix = names.dropFirst().joined(separator: " ")
    return Problem(
      message: prefix.isEmpty ? message : "\(prefix): \(message)",
      command: names.joined(separator: " "))
  }
}

/// What is wrong with a command line.
struct Wrong: Error {
  let message: String
}

/// The options that every command has.
enum BuiltIn {
  static let help = Flag("help", letter: "h", "Show this help.")
  static let version = Flag("version", letter: "V", "Show the version.")
}

extension [CommandSpec] {
  /// The options that may follow the last command of the path.
  var options: [OptionSpec] {
    // If a command uses a letter itself, the built-in option loses it.
    var options: [OptionSpec] = self.last?.options ?? []
    for command in self { options += command.sharedOptions }
    let letters = Set(options.compactMap(\.letter))
    let builtIn = [BuiltIn.help.spec] + (count == 1 ? [BuiltIn.version.spec] : [])
    return options + builtIn.map { $0.withoutLetter(in: letters) }
  }

  func scope(withOptionsBelow isDeep: Bool = false) -> Scope {
    guard let command = self.last else {
      return Scope(options: [], foreign: nil, advice: { _ in nil })
    }
    let below = isDeep ? command.optionsBelow : []
    return Scope(
      options: options + below, foreign: command.foreignOptions, advice: command.adviceOnOption)
  }
}
