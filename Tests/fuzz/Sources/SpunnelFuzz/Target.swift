// What a fuzz target is, and what all of them check.

import Glibc
import SpunnelSystem

/// One kind of input from outside and what is done with it.
struct Target: Sendable {
  let name: String
  let test: @Sendable ([UInt8]) -> Void

  init(_ name: String, _ test: @escaping @Sendable ([UInt8]) -> Void) {
    self.name = name
    self.test = test
  }

  /// A target whose input is text; what is not UTF-8 is repaired as the product does it.
  init(_ name: String, text test: @escaping @Sendable (String) -> Void) {
    self.init(name) { bytes in test(String(decoding: bytes, as: UTF8.self)) }
  }
}

/// Ends the run, and libFuzzer keeps the input.
func expect(_ isTrue: Bool, _ what: @autoclosure () -> String) {
  if isTrue { return }
  StandardStream.error.write(line: "expected: \(what())")
  abort()
}

/// What is shown to people is one line without control characters.
func expectLine(_ text: String) {
  let hasControl = text.unicodeScalars.contains { scalar in
    switch scalar.properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
  expect(!hasControl && !text.isEmpty, "one line, got '\(text.debugDescription)'")
}

/// A value is read back as it was written.
func expectSame<Value: Equatable>(_ value: Value, _ again: Value?, _ text: String) {
  expect(again == value, "\(value) again from '\(text)', got \(String(describing: again))")
}
