// Reads the words of a command that is already known.

import SpunnelSystem

struct CallReader {
  private let path: [CommandSpec]
  private let spec: CommandSpec
  private let scope: Scope
  private var rest: ArraySlice<ByteString>
  private var call: Call
  private var operands: [String] = []

  /// - Parameters:
  ///   - path: the commands from the root; not empty
  ///   - words: the words without the names of the commands
  init(path: [CommandSpec], words: [ByteString]) {
    self.path = path
    let spec = path.last ?? CommandSpec("", "")
    self.spec = spec
    scope = path.scope()
    rest = words[...]
    call = Call(path: path.dropFirst().map(\.name), spec: spec)
  }

  mutating func read() throws(Wrong) -> Request {
    var wrong: Wrong?
    while let word = rest.popFirst() {
      do throws(Wrong) { try take(word) } catch { wrong = wrong ?? error }
    }
    // `--help` wins over any error in the line.
    if call.has(BuiltIn.help) { return .help(path) }
    if path.count == 1, call.has(BuiltIn.version) { return .version }
    if let wrong { throw wrong }
    if spec.action == nil { throw Wrong(message: "name a command\(example)") }
    try assignOperands()
    if let words = spec.programWords, words.isRequired, call.program.isEmpty {
      throw Wrong(message: "\(words.placeholder) is missing\(example)")
    }
    return .run(call)
  }

  /// The end of an error, with an example: `: type, for example, spunnelctl open 12 8001:8000`.
  private var example: String {
    spec.examples.first.map { ": type, for example, \($0.line)" } ?? ""
  }

  private mutating func take(_ word: ByteString) throws(Wrong) {
    let text = word.text
    if text == "--" { return endOptions() }
    if text == "-" || !text.hasPrefix("-") { return take(operand: word) }
    switch scope.read(text) {
    case .problem(let message): throw Wrong(message: message)
    case .foreign(let takesNext):
      call.foreign.append(word)
      if takesNext {
        guard let value = rest.popFirst() else {
          throw Wrong(message: "\(printable(text)) needs a value")
        }
        call.foreign.append(value)
      }
    case .options(let found, let wantsValue):
      for (option, value) in found.dropLast(wantsValue ? 1 : 0) { try add(option, value) }
      guard wantsValue, let (option, _) = found.last else { return }
      guard let value = rest.popFirst() else {
        throw Wrong(message: "\(option.title) needs a value: \(option.title) \(option.placeholder)")
      }
      try add(option, value.text)
    }
  }

  private mutating func add(_ option: OptionSpec, _ text: String?) throws(Wrong) {
    call.counts[option.key, default: 0] += 1
    guard let text, option.arity != .flag else { return }
    do throws(ValueError) {
      call.values[option.key, default: []].append(try option.read(text))
    } catch {
      throw Wrong(message: "\(option.title) '\(printable(text))': write \(error.wanted)")
    }
  }

  private mutating func take(operand word: ByteString) {
    if let words = spec.programWords, words.beginning == .afterOperands, isFull {
      call.program = [word] + rest
      rest = []
    } else {
      operands.append(word.text)
    }
  }

  /// Whether all operands are filled, so that the next word belongs to another program.
  private var isFull: Bool {
    !spec.operands.contains { $0.count.isRepeated } && operands.count >= spec.operands.count
  }

  private mutating func endOptions() {
    guard let words = spec.programWords else {
      operands += rest.map(\.text)
      rest = []
      return
    }
    if words.beginning == .afterOperands {
      while !isFull, let word = rest.popFirst() { operands.append(word.text) }
    }
    call.program = Array(rest)
    rest = []
  }

  /// Gives each operand as many words as it may take, with enough left for the required ones after
  /// it.
  private mutating func assignOperands() throws(Wrong) {
    var words = operands[...]
    for (index, operand) in spec.operands.enumerated() {
      let later = spec.operands[(index + 1)...].count { $0.count.isRequired }
      let free = max(0, words.count - later)
      let least = operand.count.isRequired ? min(1, words.count) : 0
      let count = max(least, operand.count.isRepeated ? free : min(1, free))
      if operand.count.isRequired, count == 0 {
        throw Wrong(message: "\(operand.placeholder) is missing\(example)")
      }
      var values: [any Sendable] = []
      for word in words.prefix(count) { values.append(try read(word, operand)) }
      call.operands[operand.placeholder] = values
      words = words.dropFirst(count)
    }
    if let extra = words.first {
      throw Wrong(message: "'\(printable(extra))' is one word too many\(example)")
    }
  }

  private func read(_ word: String, _ operand: OperandSpec) throws(Wrong) -> any Sendable {
    do throws(ValueError) { return try operand.read(word) } catch {
      throw Wrong(message: "'\(printable(word))': write \(error.wanted)")
    }
  }
}
