// Combines the options of submit into words for sbatch and a script.

import Glibc
import SpunnelCLI
import SpunnelPool
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

/// A submission before it goes to sbatch.
struct SubmitPlan {
  /// The options for sbatch, in ascending precedence: the typed ones come last and win.
  private(set) var words: [ByteString] = []
  /// A batch script of the user, with its arguments.
  private(set) var scriptWords: [ByteString] = []
  private var work: JobWork?
  private var job = JobFile()
  private var lines: String?
  /// The script for standard input: the user's own, or that of a pool.
  private var input: [UInt8]?
  /// The log of a pool, which has its progress beside it; `nil` for other jobs.
  private(set) var poolLog: String?

  init(_ call: Call, _ tools: QueueTools) throws(CommandError) {
    job = try SubmitPlan.jobFile(
      path: call[SubmitCommand.file], require: call[SubmitCommand.require])
    var typed = call.foreign
    let poolWords = try readPool(call, &typed, tools)
    if poolLog == nil { try readWork(call) }
    let wishes = try SubmitPlan.words(for: job.requirements, tools)
    var all = ["--kill-on-invalid-dep=yes"] + job.sbatchWords + wishes
    if let name = job.jobName ?? defaultName(call) { all.append("--job-name=\(name)") }
    if let path = call[SubmitCommand.lines] {
      lines = try SubmitPlan.absolute(path)
      all.append("--array=1-\(try SubmitPlan.lineCount(path))")
    }
    words = (all + poolWords).map { ByteString($0) } + typed
  }

  // MARK: The job file

  /// Reads a job file.
  ///
  /// - Parameters:
  ///   - path: the path of the file; `nil` for none
  ///   - require: the value of `--require`, which overrides the file
  static func jobFile(path: String?, require: String?) throws(CommandError) -> JobFile {
    var mapping = YAMLMapping()
    if let path { mapping = try read(try content(of: path), "read '\(printable(path))'") }
    if let require {
      mapping.replace(with: try read(JobFile.requirementText(require), "read --require"))
    }
    do throws(JobFile.Problem) {
      return try JobFile(mapping) { name in
        ForeignOptions.sbatch.arity(ofLong: name).map { $0.queued }
      }
    } catch {
      let place = path.map { "read '\(printable($0))'" } ?? "read --require"
      switch error {
      case .value(let problem): throw .usage("submit: \(place)\(words(problem))")
      case .unknownKey(let key, let line, let column):
        let known = JobFile.ownKeys + ForeignOptions.sbatch.longNames
        let advice = nearestWord(to: key, among: known).map { ": did you mean '\($0)'?" } ?? ""
        throw .usage(
          "submit: \(place): line \(line), column \(column): '\(printable(key))' is no key\(advice)"
        )
      }
    }
  }

  private static func read(_ text: [UInt8], _ place: String) throws(CommandError) -> YAMLMapping {
    do throws(YAMLError) { return try YAMLMapping(text) } catch {
      throw .usage("submit: \(place)\(words(error))")
    }
  }

  private static func words(_ problem: YAMLError) -> String {
    let where_ = problem.line > 0 ? ": line \(problem.line), column \(problem.column)" : ""
    return "\(where_): \(printable(problem.message))"
  }

  private static func content(of path: String) throws(CommandError) -> [UInt8] {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
      let size = try file.size()
      if size > YAMLMapping.longestText {
        throw SystemError("it is larger than \(YAMLMapping.longestText >> 20) MiB", EFBIG)
      }
      return try file.content(expecting: size, atMost: YAMLMapping.longestText)
    } catch { throw .failure("submit: read '\(printable(path))': \(error)") }
  }

  static func words(
    for requirements: Requirements, _ tools: QueueTools
  ) throws(CommandError) -> [String] {
    if requirements.forwardsX {
      throw .usage("submit: X: sbatch forwards no X11: run it in the foreground, wq sub -r 'X: 1'")
    }
    var nodes: [NodeInfo] = []
    if requirements.needsNodes {
      do throws(SlurmError) { nodes = try tools.slurm.nodes() } catch {
        throw .failure("submit: \(error)")
      }
    }
    do throws(Requirements.Problem) { return try requirements.words(nodes: nodes) } catch {
      throw .usage("submit: \(printable(error.message))")
    }
  }

  // MARK: The work

  private mutating func readWork(_ call: Call) throws(CommandError) {
    if let first = call.program.first {
      if SubmitPlan.isBatchScript(first) {
        scriptWords = call.program
      } else {
        work = .words(call.program)
      }
    } else if let command = job.command {
      work = .shell(command)
    } else if call.foreign.contains(where: { $0.hasPrefix("--wrap") }) {
      return
    } else if isatty(STDIN_FILENO) == 0 {
      input = try SubmitPlan.standardInput()
    } else {
      throw .usage("submit: name a command: type, for example, spunnelctl submit -n 4 ./simulate")
    }
  }

  /// Whether a file is a script with options for sbatch in it.
  private static func isBatchScript(_ path: ByteString) -> Bool {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path.text, O_RDONLY | O_NONBLOCK)
      let head = try file.read(atMost: 1 << 16) ?? []
      return head.starts(with: "#!".utf8)
        && head.split(separator: 10).contains { $0.starts(with: "#SBATCH".utf8) }
    } catch { return false }
  }

  private static func standardInput() throws(CommandError) -> [UInt8] {
    var bytes: [UInt8] = []
    do throws(SystemError) {
      // Duplicated, because this process does not own its standard input.
      let input = FileDescriptor(owning: try check("dup") { dup(STDIN_FILENO) })
      while let more = try input.read(atMost: 1 << 16), !more.isEmpty { bytes += more }
    } catch { throw .failure("submit: read the script: \(error)") }
    if bytes.isEmpty { throw .usage("submit: name a command, or write a script to it") }
    return bytes
  }

  private func defaultName(_ call: Call) -> String? {
    let isNamed = call.foreign.contains { $0.hasPrefix("-J") || $0.hasPrefix("--job-n") }
    if isNamed || Process.environment("SBATCH_JOB_NAME") != nil { return nil }
    switch work {
    case .words(let words):
      return words.first.flatMap { $0.text.split(separator: "/").last }.map {
        String($0.prefix(60))
      }
    case .shell(let text):
      let word = text.split { $0 == " " || $0 == "\n" || $0 == "\t" }.first ?? ""
      return word.split(separator: "/").last.map { String($0.prefix(60)) }
    case nil: return nil
    }
  }

  private static func absolute(_ path: String) throws(CommandError) -> String {
    do throws(SystemError) { return try realPath(path) } catch {
      throw .failure("submit: \(error)")
    }
  }

  private static func lineCount(_ path: String) throws(CommandError) -> Int {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY)
      var (count, last): (Int, UInt8) = (0, 10)
      while let bytes = try file.read(atMost: 1 << 20), let end = bytes.last {
        count += bytes.count { $0 == 10 }
        last = end
      }
      count += last == 10 ? 0 : 1
      if count > 0 { return count }
    } catch { throw .failure("submit: read '\(printable(path))': \(error)") }
    throw .failure("submit: read '\(printable(path))': it has no lines")
  }

  // MARK: A pool

  /// Reads the options of `--pool`.
  ///
  /// - Parameter typed: the typed options for sbatch; the files for the tasks' output are removed
  ///   from them
  /// - Returns: further options for sbatch
  private mutating func readPool(
    _ call: Call, _ typed: inout [ByteString], _ tools: QueueTools
  ) throws(CommandError) -> [String] {
    guard let file = call[SubmitCommand.pool] else {
      try SubmitPlan.refusePoolOptions(call)
      return []
    }
    if !call.program.isEmpty || job.command != nil {
      throw .usage(
        "submit: --pool has its commands in '\(printable(file))': leave the other one out")
    }
    var options = PoolOptions(file: try SubmitPlan.absolute(file))
    options.retries = call[SubmitCommand.retries] ?? 0
    options.retriesFailed = call[SubmitCommand.resumesFailed]
    options.resumes = call[SubmitCommand.resumes] || options.retriesFailed
    options.isNullSeparated = call[SubmitCommand.nulls]
    options.tasksPerNode = call[SubmitCommand.jobs]
    options.log = try call[SubmitCommand.log].map { path throws(CommandError) in
      // The job may begin in another folder.
      path.hasPrefix("/") ? path : try SubmitPlan.absolute(".") + "/" + path
    }
    if let text = call[SubmitCommand.taskTime] {
      guard let seconds = SlurmTime.seconds(text) else {
        throw .usage("submit: --task-time '\(printable(text))': write a time, as in 10 or 1:30:00")
      }
      options.taskTime = seconds
    }
    options.output = SubmitPlan.takeValue(of: "output", "o", from: &typed)
    options.error = SubmitPlan.takeValue(of: "error", "e", from: &typed)
    let pool = PoolJob(
      options, program: tools.installation.prefix + "/libexec/spunnel/spunnel-pool")
    do { _ = try pool.check() } catch { throw .failure("submit: \(error)") }
    input = Array(pool.script.utf8)
    poolLog = options.logPath
    return PoolJob.sbatchOptions
  }

  /// They would be left aside without a word.
  private static func refusePoolOptions(_ call: Call) throws(CommandError) {
    let flags = [SubmitCommand.resumes, SubmitCommand.resumesFailed, SubmitCommand.nulls]
    let titles =
      flags.filter { call[$0] }.map(\.spec.title)
      + [SubmitCommand.log.spec, SubmitCommand.taskTime.spec].filter { call.has($0) }.map(\.title)
      + [SubmitCommand.jobs.spec, SubmitCommand.retries.spec].filter { call.has($0) }.map(\.title)
    if let title = titles.first {
      throw .usage("submit: \(title) is an option of --pool: name the list, as in --pool FILE")
    }
  }

  /// Takes an option out of sbatch's words; the last one counts.
  private static func takeValue(
    of name: String, _ letter: String, from words: inout [ByteString]
  ) -> String? {
    var (kept, value): ([ByteString], String?) = ([], nil)
    var rest = words[...]
    while let word = rest.popFirst() {
      let text = word.text
      if text == "--\(name)" || text == "-\(letter)" {
        value = rest.popFirst()?.text
      } else if text.hasPrefix("--\(name)=") {
        value = String(text.dropFirst(name.count + 3))
      } else if text.hasPrefix("-\(letter)") {
        value = String(text.dropFirst(2))
      } else {
        kept.append(word)
      }
    }
    words = kept
    return value
  }

  // MARK: For sbatch

  func submission(_ tools: QueueTools) -> Submission {
    let script: [UInt8]?
    if let work {
      script =
        JobScript(
          work, runner: tools.runner, records: tools.records?.path,
          hostFile: job.requirements.hostFile, threads: job.requirements.threads, lines: lines
        ).bytes
    } else {
      script = input
    }
    return Submission(
      words, scriptWords: scriptWords, script: script, environment: tools.environment)
  }

  /// The script for `--test-only`.
  var testScript: [UInt8]? {
    if work != nil { return Array("#!/bin/sh\n".utf8) }
    return input
  }

  /// A shell command that does the same.
  var line: String {
    var line = "sbatch " + words.map { optionWord($0.text) }.joined(separator: " ")
    switch work {
    case .words(let words):
      let command = words.map { shellQuoted($0.text) }.joined(separator: " ")
      line += " --wrap " + shellQuoted(command)
    case .shell(let text): line += " --wrap " + shellQuoted(text)
    case nil: line += scriptWords.map { " " + shellWord($0.text) }.joined()
    }
    return line
  }

  /// `--nodes=2`: the equals sign of an option needs no quotes.
  private func optionWord(_ word: String) -> String {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard word.hasPrefix("--"), parts.count == 2, !parts[1].isEmpty else { return shellWord(word) }
    return "\(shellWord(String(parts[0])))=\(shellWord(String(parts[1])))"
  }
}

extension OptionSpec.Arity {
  fileprivate var queued: OptionArity {
    switch self {
    case .flag: .flag
    case .value: .value
    case .optionalValue: .optionalValue
    }
  }
}
