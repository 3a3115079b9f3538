// What a shell offers for an incomplete word.

/// A word to offer, and its meaning.
package struct Candidate: Equatable, Sendable {
  package let word: String
  package let meaning: String

  package init(_ word: String, _ meaning: String = "") {
    self.word = word
    self.meaning = meaning
  }
}

/// The command line before the incomplete word.
package struct CompletionContext: Sendable {
  /// The operands that were typed.
  package let operands: [String]
  /// The options that were typed: their long names and values.
  package let options: [String: String]
  /// The typed beginning of the word.
  package let word: String
}

/// The source of the words that fit a value.
package enum Completion: Sendable {
  case nothing
  case words([String])
  case files
  case folders
  /// Programs on `PATH`, then files.
  case programs
  /// Words that are looked up at the time of the question, such as job ids.
  case asked(@Sendable (CompletionContext) -> [Candidate])
}
