// An option of a command: its names, its value, and one line of help.

/// An option whose value has any type.
package protocol CommandOption: Sendable {
  var spec: OptionSpec { get }
}

/// The table's entry for an option, without the type of its value.
package struct OptionSpec: CommandOption {
  /// Whether an option takes a value.
  package enum Arity: Sendable {
    case flag, value
    /// The value is attached: after `=`, or directly after the letter.
    case optionalValue
  }

  /// The long name without its dashes.
  package let long: String?
  package let letter: Character?
  package let arity: Arity
  /// The name of the value in help: `DIR`.
  package let placeholder: String
  package let summary: String
  /// Whether help and completion omit the option.
  package let isHidden: Bool
  package let completion: Completion
  let read: @Sendable (String) throws(ValueError) -> any Sendable

  package var spec: OptionSpec { self }
  /// The name under which parsed values are stored.
  var key: String { long ?? letter.map(String.init) ?? "" }
  /// The same option without its letter, if another option has that letter.
  func withoutLetter(in taken: Set<Character>) -> OptionSpec {
    guard let letter, taken.contains(letter) else { return self }
    return OptionSpec(
      long: long, letter: nil, arity: arity, placeholder: placeholder, summary: summary,
      isHidden: isHidden, completion: completion, read: read)
  }

  /// `--name`, or `-n` if there is no long name.
  package var title: String { long.map { "--\($0)" } ?? "-\(key)" }
}

/// An option without a value.
package struct Flag: CommandOption {
  package let spec: OptionSpec

  /// - Parameters:
  ///   - long: the long name without its dashes
  ///   - letter: the letter of `-l`
  ///   - summary: one phrase that says what the option does
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
  ///   - long: the long name without its dashes
  ///   - letter: the letter of `-l VALUE`
  ///   - placeholder: the name of the value in help, such as `DIR`
  ///   - kind: the type of the value
  ///   - summary: one phrase that says what the option does
  ///   - valueIsOptional: whether the value may be omitted; it is then attached by `=`, or directly
  ///     to the letter
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
