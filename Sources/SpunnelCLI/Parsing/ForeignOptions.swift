// Options of another program that go through untouched: known only so far that its operands are found.

/// Another program's options, as getopt_long(3) takes them.
package struct ForeignOptions: Sendable {
  package typealias Arity = OptionSpec.Arity

  /// What is known of an option that the table does not have.
  package enum Lookup: Sendable {
    case known(Arity)
    /// The program does not have it.
    case unknown
    case cannotTell
  }

  /// The program's name, for help and messages.
  package let program: String
  private(set) var longs: [String: Arity]
  private(set) var letters: [Character: Arity]
  private let lookup: @Sendable (String) -> Lookup
  /// What completes values, by the option with its dashes.
  private var completions: [String: Completion] = [:]

  /// - Parameters:
  ///   - letters: as getopt(3) writes them, with a colon behind each that takes a value, two behind
  ///     each whose value is optional
  ///   - lookup: asked for a long name that is not in the table, without its dashes
  package init(
    program: String, flags: [String], values: [String], optionalValues: [String] = [],
    letters: String, lookup: @escaping @Sendable (String) -> Lookup = { _ in .cannotTell }
  ) {
    self.program = program
    self.lookup = lookup
    longs = [:]
    for name in flags { longs[name] = .flag }
    for name in values { longs[name] = .value }
    for name in optionalValues { longs[name] = .optionalValue }
    self.letters = ForeignOptions.parsed(letters)
  }

  private init(_ other: ForeignOptions, lookup: @escaping @Sendable (String) -> Lookup) {
    program = other.program
    longs = other.longs
    letters = other.letters
    completions = other.completions
    self.lookup = lookup
  }

  /// The same table, and whom to ask for what it does not have: options of a site's own plugins.
  package func asking(_ lookup: @escaping @Sendable (String) -> Lookup) -> ForeignOptions {
    ForeignOptions(self, lookup: lookup)
  }

  /// The same table, with what completes values: by the option with its dashes, as `--partition`, `-p`.
  package func completing(_ completions: [String: Completion]) -> ForeignOptions {
    var table = self
    table.completions.merge(completions) { _, new in new }
    return table
  }

  /// - Parameter option: with its dashes
  func completion(of option: String) -> Completion { completions[option] ?? .nothing }

  /// What an option takes, by its whole long name.
  package func arity(ofLong name: String) -> Arity? { longs[name] }

  package var longNames: [String] { longs.keys.sorted() }

  private static func parsed(_ letters: String) -> [Character: Arity] {
    var result: [Character: Arity] = [:]
    var last: Character?
    for letter in letters {
      if letter == ":", let last {
        result[last] = result[last] == .flag ? .value : .optionalValue
      } else {
        result[letter] = .flag
        last = letter
      }
    }
    return result
  }

  /// An option by its long name or by the beginning of one alone, as getopt_long(3) finds it.
  func long(_ name: String) -> Lookup {
    if let arity = longs[name] { return .known(arity) }
    let arities = Set(longs.filter { $0.key.hasPrefix(name) }.values)
    if !name.isEmpty, arities.count == 1, let arity = arities.first { return .known(arity) }
    return lookup(name)
  }

  /// The options in a program's `--help`, as Slurm prints them: `  -n, --ntasks=number   …`.
  package static func arities(inHelp text: String) -> [String: Arity] {
    var result: [String: Arity] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ").prefix(2)
      guard line.hasPrefix(" "), let word = words.first(where: { $0.hasPrefix("--") }) else {
        continue
      }
      let name = word.dropFirst(2).prefix { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }
      let rest = word.dropFirst(2 + name.count)
      result[String(name)] =
        rest.hasPrefix("=") ? .value : rest.hasPrefix("[") ? .optionalValue : .flag
    }
    return result
  }
}
