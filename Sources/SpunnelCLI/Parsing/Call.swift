// A command line that was understood: values by the options and operands that the table declares.

import SpunnelSystem

/// The words of a command, read.
package struct Call: Sendable {
  /// `["cluster", "up"]`.
  package let path: [String]
  package let spec: CommandSpec
  /// Options of another program with their values, as they came and in their order.
  package internal(set) var foreign: [ByteString] = []
  /// The command line of another program, as it came.
  package internal(set) var program: [ByteString] = []
  var values: [String: [any Sendable]] = [:]
  var counts: [String: Int] = [:]
  var operands: [String: [any Sendable]] = [:]

  init(path: [String], spec: CommandSpec) {
    self.path = path
    self.spec = spec
  }

  /// `cluster up`, for messages.
  package var name: String { path.joined(separator: " ") }

  /// Whether the option is there.
  package subscript(_ flag: Flag) -> Bool { has(flag) }

  /// The option's value; the last one counts.
  package subscript<Value>(_ option: Option<Value>) -> Value? { all(option).last }

  /// All values of an option that was given several times.
  package func all<Value>(_ option: Option<Value>) -> [Value] {
    (values[option.spec.key] ?? []).compactMap { $0 as? Value }
  }

  /// Whether the option is there, with a value or without.
  package func has(_ option: some CommandOption) -> Bool { count(option) > 0 }

  /// How often the option is there, as in `-vv`.
  package func count(_ option: some CommandOption) -> Int { counts[option.spec.key] ?? 0 }

  /// The operand's words.
  package subscript<Value>(_ operand: Operand<Value>) -> [Value] {
    (operands[operand.spec.placeholder] ?? []).compactMap { $0 as? Value }
  }

  /// The operand that can be there once; the parser has seen that a required one is.
  package func first<Value>(_ operand: Operand<Value>) -> Value? { self[operand].first }

  /// The operand that must be there.
  package func required<Value>(_ operand: Operand<Value>) throws(CommandError) -> Value {
    if let value = first(operand) { return value }
    throw .usage("\(name): \(operand.spec.placeholder) is missing")
  }
}
