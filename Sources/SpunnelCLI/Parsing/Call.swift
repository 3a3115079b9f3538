// A parsed command line: values of the options and operands that the table declares.

import SpunnelSystem

/// The parsed words of one command.
package struct Call: Sendable {
  /// The names of the command: `["cluster", "up"]`.
  package let path: [String]
  package let spec: CommandSpec
  /// Options of another program with their values, unchanged and in order.
  package internal(set) var foreign: [ByteString] = []
  /// The command line of another program, unchanged.
  package internal(set) var program: [ByteString] = []
  var values: [String: [any Sendable]] = [:]
  var counts: [String: Int] = [:]
  var operands: [String: [any Sendable]] = [:]

  init(path: [String], spec: CommandSpec) {
    self.path = path
    self.spec = spec
  }

  /// The name of the command in messages: `cluster up`.
  package var name: String { path.joined(separator: " ") }

  /// Whether the flag was given.
  package subscript(_ flag: Flag) -> Bool { has(flag) }

  /// The value of an option. If it was given several times, the last value counts.
  package subscript<Value>(_ option: Option<Value>) -> Value? { all(option).last }

  /// All values of an option, in order.
  package func all<Value>(_ option: Option<Value>) -> [Value] {
    (values[option.spec.key] ?? []).compactMap { $0 as? Value }
  }

  /// Whether the option was given, with or without a value.
  package func has(_ option: some CommandOption) -> Bool { count(option) > 0 }

  /// How often the option was given: 2 for `-vv`.
  package func count(_ option: some CommandOption) -> Int { counts[option.spec.key] ?? 0 }

  /// The values of an operand, in order.
  package subscript<Value>(_ operand: Operand<Value>) -> [Value] {
    (operands[operand.spec.placeholder] ?? []).compactMap { $0 as? Value }
  }

  /// The value of an operand that takes at most one word. The parser guarantees it if it is
  /// required.
  package func first<Value>(_ operand: Operand<Value>) -> Value? { self[operand].first }

  /// The value of a required operand.
  package func required<Value>(_ operand: Operand<Value>) throws(CommandError) -> Value {
    if let value = first(operand) { return value }
    throw .usage("\(name): \(operand.spec.placeholder) is missing")
  }
}
