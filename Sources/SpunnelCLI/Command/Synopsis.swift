// The usage lines of a command, for help and for the manual's synopsis.

struct Synopsis {
  private let spec: CommandSpec
  private let options: [OptionSpec]

  /// - Parameter options: all options that apply, hidden ones included
  init(_ spec: CommandSpec, _ options: [OptionSpec]) {
    self.spec = spec
    self.options = options.filter { !$0.isHidden }
  }

  /// One usage line for each form, as words between which a line may break.
  var forms: [[String]] {
    if spec.action == nil { return [["COMMAND"] + bracketed(options)] }
    let forms =
      spec.forms.isEmpty ? [spec.operands.map(\.helpTitle).joined(separator: " ")] : spec.forms
    let named = Set(
      forms.flatMap { $0.split(separator: " ") }
        .map { String($0.drop { $0 == "[" }.prefix { $0 != "]" }) })
    return forms.map { form in
      let words = form.split(separator: " ").map(String.init)
      return words + bracketed(options.filter { !named.contains($0.title) })
        + (spec.foreignOptions.map { ["[\($0.program)'s options]"] } ?? []) + programWords
    }
  }

  private func bracketed(_ options: [OptionSpec]) -> [String] {
    options.map { "[\($0.title)\($0.valueTitle)]" }
  }

  private var programWords: [String] {
    guard let words = spec.programWords else { return [] }
    let text = words.beginning == .afterSeparator ? "-- \(words.placeholder)" : words.placeholder
    return [words.isRequired ? text : "[\(text)]"]
  }
}

extension OperandSpec {
  /// The operand in a usage line: `[JOB…]`.
  var helpTitle: String {
    switch count {
    case .one: placeholder
    case .optional: "[\(placeholder)]"
    case .some: "\(placeholder)…"
    case .many: "[\(placeholder)…]"
    }
  }
}
