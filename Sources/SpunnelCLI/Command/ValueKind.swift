// The type of a value on the command line: how to read it and how to complete it.

/// A text that is not a value of its type.
package struct ValueError: Error, Equatable, Sendable {
  /// What to write instead: `a number from 1 to 64`.
  package let wanted: String

  package init(wanted: String) { self.wanted = wanted }
}

/// A type of values, such as job numbers or sizes.
package struct ValueKind<Value: Sendable>: Sendable {
  package let completion: Completion
  package let read: @Sendable (String) throws(ValueError) -> Value

  /// - Parameters:
  ///   - completion: what the shell offers
  ///   - read: makes a value of the text, or throws what to write instead
  package init(
    completion: Completion = .nothing,
    read: @escaping @Sendable (String) throws(ValueError) -> Value
  ) {
    self.completion = completion
    self.read = read
  }
}

extension ValueKind<String> {
  /// Any text. The command checks it.
  package static func text(_ completion: Completion = .nothing) -> ValueKind {
    ValueKind(completion: completion) { text throws(ValueError) in text }
  }

  /// Any text, without completion.
  package static var text: ValueKind { .text() }
  /// The path of a file.
  package static var file: ValueKind { .text(.files) }
  /// The path of a folder.
  package static var folder: ValueKind { .text(.folders) }

  /// The absolute path of a folder.
  package static var absoluteFolder: ValueKind {
    ValueKind(completion: .folders) { text throws(ValueError) in
      if text.hasPrefix("/") { return text }
      throw ValueError(wanted: "an absolute path")
    }
  }

  /// One of several words.
  package static func choice(_ words: [String]) -> ValueKind {
    ValueKind(completion: .words(words)) { text throws(ValueError) in
      if words.contains(text) { return text }
      throw ValueError(wanted: listed(words))
    }
  }
}

extension ValueKind<Int> {
  /// A whole number within a range.
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
  /// One of the raw values of an enum.
  package static var choice: ValueKind {
    let words = Value.allCases.map(\.rawValue)
    return ValueKind(completion: .words(words)) { text throws(ValueError) in
      if let value = Value(rawValue: text) { return value }
      throw ValueError(wanted: listed(words))
    }
  }
}

/// A list in words: `a, b or c`.
func listed(_ words: [String]) -> String {
  guard let last = words.last, words.count > 1 else { return words.first ?? "" }
  return words.dropLast().joined(separator: ", ") + " or " + last
}
