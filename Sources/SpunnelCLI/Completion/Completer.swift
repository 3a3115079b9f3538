// Completes a command line by the parser's own table and scopes. It accepts an incomplete or wrong
// line as far as it can be understood.

import SpunnelSystem

/// The words that a shell should offer.
package struct CompletionAnswer: Equatable, Sendable {
  /// A kind of words that the shell itself adds.
  package enum Addition: String, Sendable {
    case files, folders, programs
  }

  package var candidates: [Candidate] = []
  package var addition: Addition?

  /// The answer as lines: each word, with its meaning after a tab; then the addition after a colon.
  package var lines: [String] {
    candidates.map { $0.meaning.isEmpty ? $0.word : "\($0.word)\t\($0.meaning)" }
      + (addition.map { [":\($0.rawValue)"] } ?? [])
  }
}

/// Completes command lines of one program.
package struct Completer {
  private let root: CommandSpec

  package init(_ root: CommandSpec) { self.root = root }

  /// The words that fit the end of a command line.
  ///
  /// - Parameter words: the words after the program's name; the last one is incomplete
  package func answer(_ words: [String]) -> CompletionAnswer {
    let (word, before) = (words.last ?? "", Array(words.dropLast()))
    if before.first == "help" { return subcommands(of: before.dropFirst(), word) }
    let (path, rest) = Parser(root).descend(before.map { ByteString($0) })
    var line = PartialLine(path: path, words: rest.map(\.text))
    line.read()
    return line.answer(word)
  }

  private func subcommands(of names: ArraySlice<String>, _ word: String) -> CompletionAnswer {
    var command = root
    for name in names {
      guard let next = command.subcommand(name) else { return CompletionAnswer() }
      command = next
    }
    return CompletionAnswer(candidates: command.candidates(word))
  }
}

extension CommandSpec {
  /// The subcommands that begin with a prefix.
  fileprivate func candidates(_ word: String) -> [Candidate] {
    subcommands.filter { !$0.isHidden && $0.name.hasPrefix(word) }
      .map { Candidate($0.name, $0.summary) }
  }
}

/// The words before the incomplete one.
private struct PartialLine {
  private let path: [CommandSpec]
  private let spec: CommandSpec
  private let scope: Scope
  private let words: [String]
  private var operands: [String] = []
  private var values: [String: String] = [:]
  private var given: Set<String> = []
  /// The completion of the option value that comes next.
  private var pending: Completion?
  private var endsOptions = false
  private var isProgram = false

  init(path: [CommandSpec], words: [String]) {
    self.path = path
    spec = path.last ?? CommandSpec("", "")
    scope = path.scope()
    self.words = words
  }

  mutating func read() {
    var rest = words[...]
    while let word = rest.popFirst(), !isProgram { take(word, &rest) }
  }

  private mutating func take(_ word: String, _ rest: inout ArraySlice<String>) {
    if word == "--", !endsOptions {
      endsOptions = true
      isProgram = spec.programWords?.beginning == .afterSeparator || isFull
    } else if endsOptions || word == "-" || !word.hasPrefix("-") {
      if isFull { isProgram = true } else { operands.append(word) }
    } else {
      take(option: word, &rest)
    }
  }

  /// Whether the next word belongs to another program.
  private var isFull: Bool {
    spec.programWords?.beginning == .afterOperands && operands.count >= spec.operands.count
      && !spec.operands.contains { $0.count.isRepeated }
  }

  private mutating func take(option word: String, _ rest: inout ArraySlice<String>) {
    switch scope.read(word) {
    case .problem: return
    case .foreign(let takesNext):
      if takesNext, rest.popFirst() == nil { pending = scope.foreign?.completion(of: word) }
    case .options(let found, let wantsValue):
      for (option, value) in found {
        given.insert(option.key)
        values[option.key] = value
      }
      guard wantsValue, let (option, _) = found.last else { return }
      if let value = rest.popFirst() {
        values[option.key] = value
      } else {
        pending = option.completion
      }
    }
  }

  func answer(_ word: String) -> CompletionAnswer {
    if let pending { return answer(pending, word, prefix: "") }
    if isProgram { return CompletionAnswer(addition: .programs) }
    if !endsOptions, word.hasPrefix("-") { return options(word) }
    var answer = CompletionAnswer()
    if operands.isEmpty, !endsOptions {
      answer.candidates = spec.candidates(word)
      if path.count == 1, "help".hasPrefix(word) {
        answer.candidates.append(Candidate("help", "Show help on a command."))
      }
    }
    if let operand = nextOperand {
      let more = self.answer(operand.completion, word, prefix: "")
      answer.candidates += more.candidates
      answer.addition = more.addition
    } else if isFull {
      answer.addition = .programs
    }
    return answer
  }

  private var nextOperand: OperandSpec? {
    for (index, operand) in spec.operands.enumerated()
    where operand.count.isRepeated || index == operands.count { return operand }
    return nil
  }

  private func options(_ word: String) -> CompletionAnswer {
    if let equals = word.firstIndex(of: "="), word.hasPrefix("--") {
      let name = String(word[..<equals].dropFirst(2))
      let value = String(word[word.index(after: equals)...])
      let completion = scope.long(name)?.completion ?? scope.foreign?.completion(of: "--" + name)
      return answer(completion ?? .nothing, value, prefix: "--\(name)=")
    }
    let own = path.options.filter { !$0.isHidden && !given.contains($0.key) }
      .map { Candidate($0.title, $0.summary) }
    let names = Set(own.map(\.word))
    let foreign = (scope.foreign?.longs.keys.sorted() ?? []).map { "--\($0)" }
      .filter { !names.contains($0) }.map { Candidate($0) }
    return CompletionAnswer(candidates: (own + foreign).filter { $0.word.hasPrefix(word) })
  }

  private func answer(
    _ completion: Completion, _ word: String, prefix: String
  ) -> CompletionAnswer {
    var answer = CompletionAnswer()
    switch completion {
    case .nothing: break
    case .words(let words): answer.candidates = words.map { Candidate($0) }
    case .files: answer.addition = .files
    case .folders: answer.addition = .folders
    case .programs: answer.addition = .programs
    case .asked(let ask):
      answer.candidates = ask(
        CompletionContext(operands: operands, options: values, word: word))
    }
    answer.candidates = answer.candidates.filter { $0.word.hasPrefix(word) }
      .map { Candidate(prefix + $0.word, $0.meaning) }
    return answer
  }
}
