// An operand of a command: a word that is not an option.

/// An operand of any type.
package protocol CommandOperand: Sendable {
  var spec: OperandSpec { get }
}

/// The table's entry for an operand, without its type.
package struct OperandSpec: CommandOperand {
  /// How many words an operand takes.
  package enum Count: Sendable {
    case one, optional
    /// One or more words.
    case some
    /// Any number of words.
    case many

    var isRequired: Bool { self == .one || self == .some }
    var isRepeated: Bool { self == .some || self == .many }
  }

  /// The name in help: `JOB[.STEP]`.
  package let placeholder: String
  package let count: Count
  package let completion: Completion
  let read: @Sendable (String) throws(ValueError) -> any Sendable

  package var spec: OperandSpec { self }
}

/// An operand whose words become values of a type.
package struct Operand<Value: Sendable>: CommandOperand {
  package let spec: OperandSpec

  /// - Parameters:
  ///   - placeholder: the name in help, unique within one command
  ///   - kind: the type of the values
  ///   - count: how many words the operand takes
  package init(
    _ placeholder: String, _ kind: ValueKind<Value>, _ count: OperandSpec.Count = .one
  ) {
    spec = OperandSpec(
      placeholder: placeholder, count: count, completion: kind.completion,
      read: { text throws(ValueError) in try kind.read(text) })
  }
}
