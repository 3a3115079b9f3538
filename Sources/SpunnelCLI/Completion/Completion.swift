// What a shell offers for a word that is being typed.

/// A word that a shell offers, and what it means.
package struct Candidate: Equatable, Sendable {
  package let word: String
  package let meaning: String

  package init(_ word: String, _ meaning: String = "") {
    self.word = word
    self.meaning = meaning
  }
}

/// What stands before the word that is being typed.
package struct CompletionContext: Sendable {
  /// The operands that stand there already.
  package let operands: [String]
  /// The options that stand there already, by their long names, with their values.
  package let options: [String: String]
  /// The part of the word that was typed.
  package let word: String
}

/// Where the words come from that fit a value.
package enum Completion: Sendable {
  case nothing
  case words([String])
  case files
  case folders
  /// Programs on PATH, then files.
  case programs
  /// Looked up when the user asks, as jobs are.
  case asked(@Sendable (CompletionContext) -> [Candidate])
}
