// The options of a pool, as values and as words of a command line.

/// A wrong command line, or a failed start.
package struct PoolUsageError: Error, Equatable, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}

/// The options of a pool.
package struct PoolOptions: Equatable, Sendable {
  /// The path of the list of command lines; `-` for standard input.
  package var file: String
  /// The path of the log; `nil` for the list's path with `.joblog` after it.
  package var log: String?
  /// Whether to skip tasks that the log records as ended.
  package var resumes = false
  /// Whether tasks that the log records as failed run again.
  package var retriesFailed = false
  /// How often a task that fails runs again.
  package var retries = 0
  /// The longest run time of a task, in seconds. If the job has less time left, no task begins.
  package var taskTime: Int?
  /// The file for standard output, with patterns; `nil` to print the output.
  package var output: String?
  /// The file for standard error, with patterns; `nil` for where standard output goes.
  package var error: String?
  /// Whether NUL bytes separate the tasks.
  package var isNullSeparated = false
  /// How many tasks run at once on each node; `nil` for the number that Slurm gives.
  package var tasksPerNode: Int?

  package init(file: String) { self.file = file }

  /// The path of the log.
  package var logPath: String { log ?? (file == "-" ? "pool" : file) + ".joblog" }

  /// The words that make the same options again.
  package var words: [String] {
    var words: [String] = []
    if let log { words += ["--log", log] }
    if resumes { words.append("--resume") }
    if retriesFailed { words.append("--resume-failed") }
    if retries > 0 { words += ["--retries", String(retries)] }
    if let taskTime { words += ["--task-time", "0:\(taskTime)"] }
    if let output { words += ["--output", output] }
    if let error { words += ["--error", error] }
    if isNullSeparated { words.append("--null") }
    if let tasksPerNode { words += ["--jobs", String(tasksPerNode)] }
    return words + ["--", file]
  }

  /// Reads a command line.
  ///
  /// - Parameter words: the words after the program's name
  package init(_ words: [String]) throws(PoolUsageError) {
    file = ""
    var files: [String] = []
    var rest = words[...]
    var isOver = false
    while let word = rest.popFirst() {
      if isOver || word == "-" || !word.hasPrefix("-") {
        files.append(word)
      } else if word == "--" {
        isOver = true
      } else {
        try take(word, &rest)
      }
    }
    guard let first = files.first, files.count == 1 else {
      throw PoolUsageError(
        "read the command line: one file of command lines is wanted, not \(files.count)")
    }
    file = first
    try check()
  }

  private mutating func take(_ word: String, _ rest: inout ArraySlice<String>)
    throws(PoolUsageError)
  {
    var (name, value) = PoolOptions.split(word)
    if PoolOptions.flags.contains(name) {
      if value != nil { throw PoolUsageError("read '\(word)': the option takes no value") }
    } else if PoolOptions.valued.contains(name) {
      value = value ?? rest.popFirst()
      if value == nil { throw PoolUsageError("read '\(word)': the option wants a value") }
    }
    switch name {
    case "-0", "--null": isNullSeparated = true
    case "--resume": resumes = true
    case "--resume-failed": (resumes, retriesFailed) = (true, true)
    case "--log", "--joblog": log = value
    case "-o", "--output": output = value
    case "-e", "--error": error = value
    case "--retries": retries = try PoolOptions.number(name, value, 0...250)
    case "-j", "--jobs": tasksPerNode = try PoolOptions.number(name, value, 1...4096)
    case "--task-time":
      guard let time = value.flatMap(SlurmTime.seconds) else {
        throw PoolUsageError(
          "read '\(name) \(value ?? "")': a time as Slurm writes it is wanted: "
            + "minutes, minutes:seconds, hours:minutes:seconds or days-hours")
      }
      taskTime = time
    default:
      throw PoolUsageError("read '\(word)': there is no such option: see spunnel-pool --help")
    }
  }

  private static let flags = ["-0", "--null", "--resume", "--resume-failed"]
  private static let valued = [
    "--log", "--joblog", "-o", "--output", "-e", "--error", "--retries", "-j", "--jobs",
    "--task-time",
  ]

  private static func split(_ word: String) -> (name: String, value: String?) {
    if word.hasPrefix("--"), let sign = word.firstIndex(of: "=") {
      return (String(word[..<sign]), String(word[word.index(after: sign)...]))
    }
    if !word.hasPrefix("--"), word.count > 2 {
      return (String(word.prefix(2)), String(word.dropFirst(2)))
    }
    return (word, nil)
  }

  private static func number(
    _ name: String, _ text: String?, _ range: ClosedRange<Int>
  ) throws(PoolUsageError) -> Int {
    guard let text, let number = Int(text), range.contains(number), !text.hasPrefix("+") else {
      throw PoolUsageError(
        "read '\(name) \(text ?? "")': a number from \(range.lowerBound) to \(range.upperBound) is wanted"
      )
    }
    return number
  }

  /// Checks the options that can be checked without files.
  package func check() throws(PoolUsageError) {
    for pattern in [output, error] {
      guard let pattern else { continue }
      do throws(OutputNameError) { _ = try OutputName(pattern) } catch {
        throw PoolUsageError(error.description)
      }
    }
    if file == "-" && resumes {
      throw PoolUsageError("resume: the commands come from standard input: put them into a file")
    }
  }
}

/// Reads times as Slurm writes them (sbatch(1), `--time`).
package enum SlurmTime {
  /// Reads a time.
  ///
  /// - Parameter text: minutes, minutes:seconds, hours:minutes:seconds,
  ///   days-hours[:minutes[:seconds]]
  /// - Returns: seconds; `nil` for any other text
  package static func seconds(_ text: String) -> Int? {
    let halves = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    let fields = halves[halves.count - 1].split(separator: ":", omittingEmptySubsequences: false)
    let numbers = fields.compactMap { number($0) }
    guard numbers.count == fields.count, (1...3).contains(fields.count) else { return nil }
    if halves.count == 2 {
      guard let days = number(halves[0]) else { return nil }
      return zip(numbers, [3600, 60, 1]).reduce(days * 86400) { $0 + $1.0 * $1.1 }
    }
    switch numbers.count {
    case 1: return numbers[0] * 60
    case 2: return numbers[0] * 60 + numbers[1]
    default: return numbers[0] * 3600 + numbers[1] * 60 + numbers[2]
    }
  }

  private static func number(_ text: Substring) -> Int? {
    guard !text.isEmpty, text.count < 9, text.utf8.allSatisfy({ (48...57).contains($0) }) else {
      return nil
    }
    return Int(text)
  }
}
