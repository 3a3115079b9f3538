// The command `completion SHELL`, and the hidden command that its scripts call.

/// The command that prints a completion script, and the question that the scripts ask.
package enum CompletionCommand {
  /// The hidden command. A script calls `spunnelctl __complete cluster u`.
  static let question = "__complete"

  /// A shell for which there is a script.
  enum Shell: String, CaseIterable {
    case bash, zsh, fish
  }

  /// The command that prints a completion script.
  ///
  /// - Parameter programs: the programs to complete, each with `__complete`; the first one has this
  ///   command
  package static func spec(for programs: [String]) -> CommandSpec {
    let shell = Operand("SHELL", ValueKind<Shell>.choice)
    let program = programs.first ?? ""
    return CommandSpec(
      "completion", "Print what makes bash, zsh or fish complete the command line.",
      operands: [shell],
      details: """
        make install and the packages put the scripts where the shells look below /usr. For another
        place, add the shell's line to its file:

          ~/.bashrc                    source <(\(program) completion bash)
          ~/.zshrc, behind compinit    source <(\(program) completion zsh)
          ~/.config/fish/config.fish   \(program) completion fish | source
        """,
      examples: [.init("source <(\(program) completion bash)", "Complete in this bash.")]
    ) { call throws(CommandError) in
      let script =
        switch try call.required(shell) {
        case .bash: CompletionScripts.bash
        case .zsh: CompletionScripts.zsh
        case .fish: CompletionScripts.fish
        }
      try say(CompletionScripts.text(script, for: programs))
      return .success
    }
  }
}
