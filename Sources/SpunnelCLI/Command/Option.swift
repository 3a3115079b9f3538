// An option of a command: its names, its value, and a line of help.

/// Any option of a command.
package protocol CommandOption: Sendable {
  var spec: OptionSpec { get }
}

/// What the table says of an option, whatever its value's type is.
package struct OptionSpec: CommandOption {
  /// Whether a value belongs to the option.
  package enum Arity: Sendable {
    case flag, value
    /// The value is attached by `=`, or follows the letter at once.
    case optionalValue
  }

  /// Without the dashes.
  package let long: String?
  package let letter: Character?
  package let arity: Arity
  /// How help names the value: `DIR`.
  package let placeholder: String
  package let summary: String
  /// Whether help and completion leave it out.
  package let isHidden: Bool
  package let completion: Completion
  let read: @Sendable (String) throws(ValueError) -> any Sendable

  package var spec: OptionSpec { self }
  /// The name by which values are kept.
  var key: String { long ?? letter.map(String.init) ?? "" }
  /// The same option without its letter, where another option has that letter.
  func withoutLetter(in taken: Set<Character>) -> OptionSpec {
    guard let letter, taken.contains(letter) else { return self }
    return OptionSpec(
      long: long, letter: nil, arity: arity, placeholder: placeholder, summary: summary,
      isHidden: isHidden, completion: completion, read: read)
  }

  /// `--name`, or `-n` when there is no long name.
  package var title: String { long.map { "--\($0)" } ?? "-\(key)" }
}

/// An option without a value.
package struct Flag: CommandOption {
  package let spec: OptionSpec

  /// - Parameters:
  ///   - long: without the dashes
  ///   - letter: for `-l`
  ///   - summary: what the option does, a phrase
  package init(
    _ long: String?, letter: Character? = nil, _ summary: String, isHidden: Bool = false
  ) {
    spec = OptionSpec(
      long: long, letter: letter, arity: .flag, placeholder: "", summary: summary,
      isHidden: isHidden, completion: .nothing, read: { text throws(ValueError) in text })
  }
}

/// An option with a value.
package struct Option<Value: Sendable>: CommandOption {
  package let spec: OptionSpec

  /// - Parameters:
  ///   - long: without the dashes
  ///   - letter: for `-l VALUE`
  ///   - placeholder: how help names the value, as `DIR`
  ///   - kind: what the value is
  ///   - summary: what the option does, a phrase
  ///   - valueIsOptional: the value then stands behind `=`, or at once behind the letter
  package init(
    _ long: String?, letter: Character? = nil, _ placeholder: String, _ kind: ValueKind<Value>,
    _ summary: String, valueIsOptional: Bool = false, isHidden: Bool = false
  ) {
    spec = OptionSpec(
      long: long, letter: letter, arity: valueIsOptional ? .optionalValue : .value,
      placeholder: placeholder, summary: summary, isHidden: isHidden,
      completion: kind.completion,
      read: { text throws(ValueError) in try kind.read(text) })
  }
}
