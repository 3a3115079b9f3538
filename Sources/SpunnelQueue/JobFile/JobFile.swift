// A job file: a command, its requirements, and options of sbatch by their long names.

/// Whether an option of sbatch takes a value.
package enum OptionArity: Sendable { case flag, value, optionalValue }

/// The content of a job file, merged with `--require`.
package struct JobFile: Equatable, Sendable {
  /// The command for a shell, as in wq.
  package private(set) var command: String?
  package private(set) var jobName: String?
  package private(set) var requirements = Requirements()
  /// Options for sbatch, such as `--time=10`.
  package private(set) var sbatchWords: [String] = []

  /// The keys of wq. Some may be written without `_`.
  package static let ownKeys = [
    "command", "mode", "N", "group", "notgroup", "not_group", "min_cores", "min_mem", "threads",
    "host", "hostfile", "job_name", "X", "priority",
  ]

  /// Why a job file is refused.
  package enum Problem: Error, Equatable, Sendable {
    /// A key that neither wq nor sbatch has.
    case unknownKey(String, line: Int, column: Int)
    case value(YAMLError)
  }

  package init() {}

  /// - Parameters:
  ///   - mapping: the content of the file, with the values of `--require` in place
  ///   - arity: looks up an option of sbatch by its long name; `nil` when sbatch does not have it
  package init(
    _ mapping: YAMLMapping, arity: (String) -> OptionArity?
  ) throws(Problem) {
    for pair in mapping.pairs {
      let isOwn: Bool
      do throws(YAMLError) { isOwn = try take(pair) } catch { throw .value(error) }
      if isOwn { continue }
      guard let arity = arity(pair.key) else {
        throw .unknownKey(pair.key, line: pair.line, column: pair.column)
      }
      do throws(YAMLError) { try take(option: pair, arity) } catch { throw .value(error) }
    }
  }

  /// Turns a `--require` such as `mode: bynode; N: 5` into YAML, as wq does: a semicolon ends a
  /// line, and a space follows each colon.
  package static func requirementText(_ text: String) -> [UInt8] {
    var result = ""
    for character in text {
      switch character {
      case ";": result += "\n"
      case ":": result += ": "
      default: result.append(character)
      }
    }
    // A space after a semicolon would become an indent.
    return Array(
      result.split(separator: "\n").map { line in
        String(line.drop { $0 == " " || $0 == "\t" })
      }.joined(separator: "\n").utf8)
  }

  /// - Returns: whether the key is one of wq's
  private mutating func take(_ pair: YAMLMapping.Pair) throws(YAMLError) -> Bool {
    let value = pair.value
    switch pair.key {
    case "command": command = try value.word(pair.key)
    case "job_name": jobName = try value.word(pair.key)
    default:
      let isKnown = try takeRequirement(pair.key, value)
      requirements.isGiven = requirements.isGiven || isKnown
      return isKnown
    }
    return true
  }

  private mutating func takeRequirement(
    _ key: String, _ value: YAMLValue
  ) throws(YAMLError) -> Bool {
    switch key {
    case "mode":
      guard let mode = SelectionMode(spelling: try value.word(key)) else {
        throw value.error("mode \(value.kind) is none of bycore, bycore1, bynode, byhost, bygroup")
      }
      requirements.mode = mode
    case "N": requirements.count = try value.number(key, from: 1)
    case "group": requirements.groups = try value.names(key)
    case "notgroup", "not_group": requirements.excludedGroups = try value.names(key)
    case "min_cores": requirements.leastCores = try value.number(key, from: 0)
    case "min_mem": requirements.leastMemory = try value.gigabytes(key)
    case "threads": requirements.threads = try value.number(key, from: 1)
    case "host": requirements.host = try value.name(key)
    case "hostfile": requirements.hostFile = try value.word(key)
    case "X": requirements.forwardsX = try value.truth(key)
    case "priority":
      guard let priority = QueuePriority(rawValue: try value.word(key)) else {
        throw value.error("priority \(value.kind) is none of low, med, high, block")
      }
      requirements.priority = priority
    default: return false
    }
    return true
  }

  private mutating func take(
    option pair: YAMLMapping.Pair, _ arity: OptionArity
  ) throws(YAMLError) {
    switch arity {
    case .flag:
      if try pair.value.truth(pair.key) { sbatchWords.append("--\(pair.key)") }
    case .value: sbatchWords.append("--\(pair.key)=\(try pair.value.joined(pair.key))")
    case .optionalValue:
      if case .scalar("true", isQuoted: false) = pair.value.content {
        sbatchWords.append("--\(pair.key)")
      } else {
        sbatchWords.append("--\(pair.key)=\(try pair.value.joined(pair.key))")
      }
    }
  }
}

extension YAMLValue {
  /// The largest sensible number of cores or nodes.
  private static let mostCount = 10_000_000

  func error(_ message: String) -> YAMLError { YAMLError(message, line: line, column: column) }

  func word(_ key: String) throws(YAMLError) -> String {
    guard case .scalar(let text, _) = content, !text.isEmpty else {
      throw error("\(key) is \(kind): write one word")
    }
    if text.utf8.contains(0) { throw error("\(key) has a NUL in it") }
    return text
  }

  func number(_ key: String, from least: Int) throws(YAMLError) -> Int {
    guard case .scalar(let text, isQuoted: false) = content, let number = Int(text),
      (least...YAMLValue.mostCount).contains(number)
    else { throw error("\(key): \(kind) is no whole number from \(least)") }
    return number
  }

  /// The value in MiB. wq's memory is in GB, with an optional fraction.
  func gigabytes(_ key: String) throws(YAMLError) -> Int {
    guard case .scalar(let text, isQuoted: false) = content, let number = Double(text),
      number >= 0, number < 1e7
    else { throw error("\(key): \(kind) is no number of GB") }
    return Int((number * 1024).rounded(.up))
  }

  func truth(_ key: String) throws(YAMLError) -> Bool {
    guard case .scalar(let text, _) = content else {
      throw error("\(key) is a list: write true or false")
    }
    switch text {
    case "true", "True", "yes", "1": return true
    case "false", "False", "no", "0": return false
    default: throw error("\(key): '\(text)' is neither true nor false")
    }
  }

  /// Names of nodes or features.
  func names(_ key: String) throws(YAMLError) -> [String] {
    let names = texts
    if names.isEmpty { throw error("\(key) is empty") }
    for name in names where !YAMLValue.isName(name) {
      throw error("\(key): '\(name)' is no name")
    }
    return names
  }

  func name(_ key: String) throws(YAMLError) -> String {
    let name = try word(key)
    if !YAMLValue.isName(name) { throw error("\(key): '\(name)' is no name") }
    return name
  }

  func joined(_ key: String) throws(YAMLError) -> String {
    let text = texts.joined(separator: ",")
    if text.utf8.contains(0) { throw error("\(key) has a NUL in it") }
    return text
  }

  private static func isName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 256
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
          UInt8(ascii: "_"), UInt8(ascii: "="), UInt8(ascii: "+"), UInt8(ascii: ":"):
          true
        default: false
        }
      }
  }
}
