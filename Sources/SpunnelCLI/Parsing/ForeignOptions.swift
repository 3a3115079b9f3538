// Options of another program, which are passed on unchanged. Only their arity is known, so that
// operands can be told from values.

/// The options of another program, as getopt_long(3) reads them.
package struct ForeignOptions: Sendable {
  package typealias Arity = OptionSpec.Arity

  /// What is known of an option that the table lacks.
  package enum Lookup: Sendable {
    case known(Arity)
    /// The program has no such option.
    case unknown
    /// Whether the program has it is unknown.
    case cannotTell
  }

  /// The name of the program, for help and messages.
  package let program: String
  private(set) var longs: [String: Arity]
  private(set) var letters: [Character: Arity]
  private let lookup: @Sendable (String) -> Lookup
  /// The completion of values, keyed by the option with its dashes.
  private var completions: [String: Completion] = [:]

  /// - Parameters:
  ///   - program: the name of the program
  ///   - flags: long options without a value
  ///   - values: long options with a value
  ///   - optionalValues: long options with an optional value
  ///   - letters: the letters as getopt(3) writes them: a colon follows a letter with a value, two
  ///     colons a letter with an optional value
  ///   - lookup: asked for a long name that the table lacks, without its dashes
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

  /// The same table with a lookup for unknown options, such as those of a site's own plugins.
  package func asking(_ lookup: @escaping @Sendable (String) -> Lookup) -> ForeignOptions {
    ForeignOptions(self, lookup: lookup)
  }

  /// The same table with completions of values, keyed by the option with its dashes: `--partition`,
  /// `-p`.
  package func completing(_ completions: [String: Completion]) -> ForeignOptions {
    var table = self
    table.completions.merge(completions) { _, new in new }
    return table
  }

  /// - Parameter option: the option with its dashes
  func completion(of option: String) -> Completion { completions[option] ?? .nothing }

  /// The arity of an option; its long name must be complete.
  package func arity(ofLong name: String) -> Arity? { longs[name] }

  /// The long names of the table, sorted.
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

  /// Looks up a long name or an unambiguous beginning of one, as getopt_long(3) does.
  func long(_ name: String) -> Lookup {
    if let arity = longs[name] { return .known(arity) }
    let arities = Set(longs.filter { $0.key.hasPrefix(name) }.values)
    if !name.isEmpty, arities.count == 1, let arity = arities.first { return .known(arity) }
    return lookup(name)
  }

  /// Reads the options in a program's `--help`, as Slurm prints them: `  -n, --ntasks=number   …`.
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
