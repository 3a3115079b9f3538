// What a value on the command line is: how it is read, and what completes it.

/// Why a text is no value of its kind.
package struct ValueError: Error, Equatable, Sendable {
  /// What belongs there: `a number from 1 to 64`.
  package let wanted: String

  package init(wanted: String) { self.wanted = wanted }
}

/// A kind of values, as job numbers or sizes are.
package struct ValueKind<Value: Sendable>: Sendable {
  package let completion: Completion
  package let read: @Sendable (String) throws(ValueError) -> Value

  /// - Parameters:
  ///   - completion: what the shell offers
  ///   - read: makes a value of the text, or says what belongs there
  package init(
    completion: Completion = .nothing,
    read: @escaping @Sendable (String) throws(ValueError) -> Value
  ) {
    self.completion = completion
    self.read = read
  }
}

extension ValueKind<String> {
  /// Any text. The command itself looks into it.
  package static func text(_ completion: Completion = .nothing) -> ValueKind {
    ValueKind(completion: completion) { text throws(ValueError) in text }
  }

  package static var text: ValueKind { .text() }
  package static var file: ValueKind { .text(.files) }
  package static var folder: ValueKind { .text(.folders) }

  /// An absolute path of a folder.
  package static var absoluteFolder: ValueKind {
    ValueKind(completion: .folders) { text throws(ValueError) in
      if text.hasPrefix("/") { return text }
      throw ValueError(wanted: "an absolute path")
    }
  }

  /// One of these words.
  package static func choice(_ words: [String]) -> ValueKind {
    ValueKind(completion: .words(words)) { text throws(ValueError) in
      if words.contains(text) { return text }
      throw ValueError(wanted: listed(words))
    }
  }
}

extension ValueKind<Int> {
  /// A whole number.
  package static func number(in range: ClosedRange<Int>) -> ValueKind {
    ValueKind { text throws(ValueError) in
      let isNumber = !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) }
      if isNumber, let number = Int(text), range.contains(number) { return number }
      throw ValueError(
        wanted: range.upperBound == .max
          ? "a number from \(range.lowerBound)"
          : "a number from \(range.lowerBound) to \(range.upperBound)")
    }
  }
}

extension ValueKind where Value: CaseIterable & RawRepresentable<String> {
  /// One of an enum's words.
  package static var choice: ValueKind {
    let words = Value.allCases.map(\.rawValue)
    return ValueKind(completion: .words(words)) { text throws(ValueError) in
      if let value = Value(rawValue: text) { return value }
      throw ValueError(wanted: listed(words))
    }
  }
}

/// `a, b or c`.
func listed(_ words: [String]) -> String {
  guard let last = words.last, words.count > 1 else { return words.first ?? "" }
  return words.dropLast().joined(separator: ", ") + " or " + last
}
