// One command in the table: its words, what they mean, its subcommands, and what runs.

/// A command, with everything that parsing, help, manual and completion need.
package struct CommandSpec: Sendable {
  /// A command line, and what it does.
  package struct Example: Sendable {
    package let line: String
    package let meaning: String

    package init(_ line: String, _ meaning: String) {
      self.line = line
      self.meaning = meaning
    }
  }

  /// The words of another program that the command is to run.
  package struct ProgramWords: Sendable {
    package enum Beginning: Sendable {
      /// The first word behind the operands, or behind `--`.
      case afterOperands
      /// Only what stands behind `--`.
      case afterSeparator
    }

    /// How help names them.
    package let placeholder: String
    package let isRequired: Bool
    package let beginning: Beginning

    package init(
      _ beginning: Beginning, _ placeholder: String = "CMD…", isRequired: Bool = false
    ) {
      self.placeholder = placeholder
      self.isRequired = isRequired
      self.beginning = beginning
    }
  }

  package typealias Action = @Sendable (Call) throws(CommandError) -> ExitCode

  package let name: String
  package let summary: String
  package let isHidden: Bool
  package let operands: [OperandSpec]
  package let options: [OptionSpec]
  /// Options of this command and of every subcommand.
  package let sharedOptions: [OptionSpec]
  package let foreignOptions: ForeignOptions?
  package let programWords: ProgramWords?
  /// Usage lines without the options, where the operands alone do not say it: `["JOB…", "--all"]`.
  package let forms: [String]
  /// Paragraphs behind the options; help folds them.
  package let details: String
  package let examples: [Example]
  package let exitStatuses: [(status: String, meaning: String)]
  package let subcommands: [CommandSpec]
  /// What to say of an option that the table does not have, where it is plain what was meant.
  let adviceOnOption: @Sendable (String) -> String?
  /// `nil` for a command that only has subcommands.
  let action: Action?

  /// - Parameters:
  ///   - name: as it is typed
  ///   - summary: one phrase for the list of commands
  ///   - operands: in the order in which they are typed
  ///   - foreignOptions: options of another program, which go through untouched
  ///   - programWords: a command line of another program
  ///   - action: what runs; `nil` for a command that only has subcommands
  package init(
    _ name: String, _ summary: String, isHidden: Bool = false,
    operands: [any CommandOperand] = [], options: [any CommandOption] = [],
    sharedOptions: [any CommandOption] = [], foreignOptions: ForeignOptions? = nil,
    programWords: ProgramWords? = nil, forms: [String] = [], details: String = "",
    examples: [Example] = [], exitStatuses: [(status: String, meaning: String)] = [],
    subcommands: [CommandSpec] = [],
    action: Action? = nil,
    adviceOnOption: @escaping @Sendable (String) -> String? = { _ in nil }
  ) {
    self.name = name
    self.summary = summary
    self.isHidden = isHidden
    self.operands = operands.map(\.spec)
    self.options = options.map(\.spec)
    self.sharedOptions = sharedOptions.map(\.spec)
    self.foreignOptions = foreignOptions
    self.programWords = programWords
    self.forms = forms
    self.details = details
    self.examples = examples
    self.exitStatuses = exitStatuses
    self.subcommands = subcommands
    self.adviceOnOption = adviceOnOption
    self.action = action
  }

  func subcommand(_ name: String) -> CommandSpec? { subcommands.first { $0.name == name } }

  /// All options of this command's subcommands, of theirs, and so on.
  var optionsBelow: [OptionSpec] {
    subcommands.flatMap { $0.options + $0.sharedOptions + $0.optionsBelow }
  }
}
