// The options that apply at one place of a command line, and how a word with a dash is read there.

import SpunnelSystem

/// The options in which a word is looked up.
struct Scope {
  /// What a word that begins with a dash means.
  enum Reading {
    /// Options of the command. If `wantsValue`, the next word is the value of the last one.
    case options([(option: OptionSpec, value: String?)], wantsValue: Bool)
    /// An option of another program. If `takesNext`, the next word is its value.
    case foreign(takesNext: Bool)
    /// An error, in one line.
    case problem(String)
  }

  let options: [OptionSpec]
  let foreign: ForeignOptions?
  let advice: @Sendable (String) -> String?

  func long(_ name: String) -> OptionSpec? { options.first { $0.long == name } }
  func letter(_ letter: Character) -> OptionSpec? { options.first { $0.letter == letter } }

  /// - Parameter word: a word that begins with a dash, other than `-` and `--`
  func read(_ word: String) -> Reading {
    word.hasPrefix("--") ? readLong(word) : readLetters(word)
  }

  private func readLong(_ word: String) -> Reading {
    let parts = word.dropFirst(2).split(
      separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let (name, value) = (String(parts[0]), parts.count == 2 ? String(parts[1]) : nil)
    if let option = long(name) {
      if option.arity == .flag, value != nil {
        return .problem("\(option.title) takes no value: leave out '=\(shown(value ?? ""))'")
      }
      return .options(
        [(option, value)], wantsValue: option.arity == .value && value == nil)
    }
    switch foreign?.long(name) {
    case .known(let arity): return .foreign(takesNext: arity == .value && value == nil)
    // If a known option differs by a typing error only, the user meant that option.
    case .cannotTell where Nearest.word(to: "--" + name, among: titles) == nil:
      return .foreign(takesNext: false)
    default: return unknown("--" + name)
    }
  }

  private func readLetters(_ word: String) -> Reading {
    var found: [(option: OptionSpec, value: String?)] = []
    var rest = word.dropFirst()
    while let letter = rest.popFirst() {
      guard let option = self.letter(letter) else {
        return found.isEmpty ? readForeignLetters(word) : unknown("-\(letter)", in: word)
      }
      if option.arity == .flag {
        found.append((option, nil))
      } else {
        found.append((option, rest.isEmpty ? nil : String(rest)))
        return .options(found, wantsValue: option.arity == .value && rest.isEmpty)
      }
    }
    return .options(found, wantsValue: false)
  }

  private func readForeignLetters(_ word: String) -> Reading {
    var rest = word.dropFirst()
    while let letter = rest.popFirst() {
      switch foreign?.letters[letter] {
      case nil: return unknown("-\(letter)", in: word)
      case .flag: continue
      case .value: return .foreign(takesNext: rest.isEmpty)
      case .optionalValue: return .foreign(takesNext: false)
      }
    }
    return .foreign(takesNext: false)
  }

  private var titles: [String] {
    options.filter { !$0.isHidden }.compactMap { $0.long.map { "--\($0)" } }
  }

  private func unknown(_ title: String, in word: String? = nil) -> Reading {
    let whole = word ?? title
    if let advice = advice(whole) { return .problem(advice) }
    let place = whole == title ? "" : " in '\(shown(whole))'"
    let known = titles + (foreign.map { $0.longs.keys.sorted().map { "--\($0)" } } ?? [])
    // `-json` is looked up as `--json`, not as five letters.
    let typed = title.hasPrefix("--") ? title : "-" + whole
    let meant = Nearest.word(to: typed, among: known).map { ": did you mean \($0)?" } ?? ""
    return .problem("unknown option '\(shown(title))'\(place)\(meant)")
  }

  private func shown(_ text: String) -> String { printable(text) }
}
