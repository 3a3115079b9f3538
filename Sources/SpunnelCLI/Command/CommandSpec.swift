// One command of the table: its words and their meaning, its subcommands, and its action.

/// A command, with everything that parsing, help, the manual and completion need.
package struct CommandSpec: Sendable {
  /// An example: a command line, and what it does.
  package struct Example: Sendable {
    package let line: String
    package let meaning: String

    package init(_ line: String, _ meaning: String) {
      self.line = line
      self.meaning = meaning
    }
  }

  /// The command line of another program, which the command runs.
  package struct ProgramWords: Sendable {
    /// Where that command line begins.
    package enum Beginning: Sendable {
      /// With the first word after the operands, or after `--`.
      case afterOperands
      /// After `--` only.
      case afterSeparator
    }

    /// The name in help, such as `CMD…`.
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

  /// Runs the command. It returns the exit status, or throws the reason why it stopped.
  package typealias Action = @Sendable (Call) throws(CommandError) -> ExitCode

  package let name: String
  package let summary: String
  package let isHidden: Bool
  package let operands: [OperandSpec]
  package let options: [OptionSpec]
  /// Options of this command and of all its subcommands.
  package let sharedOptions: [OptionSpec]
  package let foreignOptions: ForeignOptions?
  package let programWords: ProgramWords?
  /// Usage lines without the options, for a command whose operands alone do not describe it:
  /// `["JOB…", "--all"]`.
  package let forms: [String]
  /// Paragraphs after the options. Help wraps their lines.
  package let details: String
  package let examples: [Example]
  package let exitStatuses: [(status: String, meaning: String)]
  package let subcommands: [CommandSpec]
  /// The advice for an unknown option whose intent is clear; `nil` for any other option.
  let adviceOnOption: @Sendable (String) -> String?
  /// What the command runs; `nil` for a command that only has subcommands.
  let action: Action?

  /// - Parameters:
  ///   - name: the word that users type
  ///   - summary: one phrase for the list of commands
  ///   - operands: the operands, in the order in which users type them
  ///   - foreignOptions: the options of another program, which are passed on unchanged
  ///   - programWords: the command line of another program
  ///   - forms: usage lines, where the operands alone do not describe the command
  ///   - details: paragraphs for help
  ///   - action: what to run; `nil` for a command that only has subcommands
  ///   - adviceOnOption: the advice for an unknown option, or `nil`
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

  /// The options of all subcommands, at every depth.
  var optionsBelow: [OptionSpec] {
    subcommands.flatMap { $0.options + $0.sharedOptions + $0.optionsBelow }
  }
}
