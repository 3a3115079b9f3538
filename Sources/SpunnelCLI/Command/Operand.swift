// An operand of a command: a word that is no option.

/// Any operand of a command.
package protocol CommandOperand: Sendable {
  var spec: OperandSpec { get }
}

/// What the table says of an operand, whatever its type is.
package struct OperandSpec: CommandOperand {
  /// How many words there may be.
  package enum Count: Sendable {
    case one, optional
    /// One or more.
    case some
    /// None or more.
    case many

    var isRequired: Bool { self == .one || self == .some }
    var isRepeated: Bool { self == .some || self == .many }
  }

  /// How help names it: `JOB[.STEP]`.
  package let placeholder: String
  package let count: Count
  package let completion: Completion
  let read: @Sendable (String) throws(ValueError) -> any Sendable

  package var spec: OperandSpec { self }
}

/// An operand with a type.
package struct Operand<Value: Sendable>: CommandOperand {
  package let spec: OperandSpec

  /// - Parameters:
  ///   - placeholder: how help names it; one command has no two of the same name
  ///   - kind: what it is
  ///   - count: how many words there may be
  package init(
    _ placeholder: String, _ kind: ValueKind<Value>, _ count: OperandSpec.Count = .one
  ) {
    spec = OperandSpec(
      placeholder: placeholder, count: count, completion: kind.completion,
      read: { text throws(ValueError) in try kind.read(text) })
  }
}
