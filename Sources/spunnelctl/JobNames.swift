// Resolves the names of jobs, wherever a job id may stand.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem

/// Finds the job that a word names among the user's jobs.
enum JobNames {
  /// The result of a lookup.
  enum Meaning: Equatable {
    /// The job id as Slurm's commands write it: `12`, `12_3`.
    case job(String)
    /// No job has this name.
    case nobody
    /// Several jobs have this name; each one is listed with its state.
    case several([String])
  }

  /// The most candidates that an error names.
  private static let mostNamed = 8
  /// Milliseconds to wait for Slurm, if the command can do without the answer.
  private static let patience = 2000
  private static let columns = [
    "id", "array", "task", "tasks", "het", "component", "name", "user", "phase", "state", "reason",
    "nodes",
  ]

  /// Looks up a name among jobs that are not over.
  ///
  /// - Parameters:
  ///   - word: the name
  ///   - jobs: the user's jobs
  ///   - preferred: job ids that win over others with the same name: those with a tunnel here
  static func meaning(
    of word: String, among jobs: [JobInfo], preferred: Set<UInt32> = []
  ) -> Meaning {
    let named = jobs.filter { $0.name == word && $0.phase != .over }
    let liked = named.filter { preferred.contains($0.id) }
    let meant = liked.isEmpty ? named : liked
    var groups: [UInt32: [JobInfo]] = [:]
    for job in meant { groups[job.array ?? job.het ?? job.id, default: []].append(job) }
    if groups.isEmpty { return .nobody }
    if groups.count == 1, let (number, records) = groups.first {
      return .job(records.count == 1 ? records[0].reference : String(number))
    }
    let shown = groups.sorted { $0.key < $1.key }.map { number, records in
      "\(number) (\(records[0].words))"
    }
    return .several(Array(shown.prefix(mostNamed)) + (shown.count > mostNamed ? ["…"] : []))
  }

  /// Resolves a word, which is a job id or the name of a job.
  ///
  /// - Parameters:
  ///   - word: the word
  ///   - call: the command, for errors
  ///   - preferred: job ids that win over others with the same name
  /// - Returns: the job id as Slurm's commands write it
  static func number(
    of word: String, in call: Call, preferred: Set<UInt32> = []
  ) throws(CommandError) -> String {
    try TunnelArgument.check(word, in: call)
    if TunnelArgument.isNumber(word) { return word }
    let jobs = try ownJobs(call)
    switch meaning(of: word, among: jobs, preferred: preferred) {
    case .job(let number): return number
    case .several(let all): throw several(word, all, call)
    case .nobody: break
    }
    // The word may name a step of a job: `train.0`.
    if let dot = word.lastIndex(of: "."), dot != word.startIndex {
      let (name, label) = (String(word[..<dot]), word[word.index(after: dot)...])
      switch meaning(of: name, among: jobs, preferred: preferred) {
      case .job(let number) where StepName(job: 1, label: label) != nil:
        return "\(number).\(label)"
      case .several(let all): throw several(name, all, call)
      default: break
      }
    }
    let meant =
      nearestWord(to: word, among: Array(Set(jobs.map(\.name))))
      .map { ": did you mean '\(printable($0))'?" } ?? ": squeue --me lists your jobs"
    throw .failure("\(call.name): no job of yours is named '\(printable(word))'\(meant)")
  }

  private static func several(_ word: String, _ all: [String], _ call: Call) -> CommandError {
    .failure(
      "\(call.name): several jobs of yours are named '\(printable(word))': "
        + "\(all.joined(separator: ", ")): write the number")
  }

  private static func ownJobs(_ call: Call) throws(CommandError) -> [JobInfo] {
    guard let installation = Installation.current else { throw .failure(Installation.absence) }
    do throws(SlurmError) {
      return try SlurmHelper(path: installation.jobs).jobs(.user(getuid()))
    } catch { throw .failure("\(call.name): \(error)") }
  }

  /// The user's jobs that are not over, for a list that can do without them.
  ///
  /// - Returns: the jobs, or the reason why Slurm did not tell them in time
  static func listed() -> Result<[JobInfo], SlurmError> {
    func failure(_ reason: String) -> Result<[JobInfo], SlurmError> {
      .failure(SlurmError(.slurm, reason))
    }
    guard let installation = Installation.current else { return failure(Installation.absence) }
    let words = ["list", "--user", String(getuid()), "--columns", columns.joined(separator: ",")]
    let helper = Program(installation.jobs, words, environment: Process.environment())
    do throws(SystemError) {
      let result = try helper.capture(milliseconds: patience)
      if result.isLate {
        return failure("Slurm has not answered within \(patience / 1000) seconds")
      }
      guard result.succeeded, let jobs = SlurmHelper.jobs(in: Array(result.output.utf8)) else {
        return failure(printable(result.lastLine))
      }
      return .success(jobs.filter { $0.phase != .over })
    } catch { return failure("\(error)") }
  }
}

extension JobInfo {
  /// The job id as Slurm's commands write it: `12`, `12_3`, `12+1`.
  var reference: String {
    if let array { return task.map { "\(array)_\($0)" } ?? String(array) }
    if let het, let component { return "\(het)+\(component)" }
    return String(id)
  }

  /// The state of a candidate: `running on n1`.
  fileprivate var words: String {
    phase == .running && !nodes.isEmpty
      ? "running on \(printable(nodes))" : printable(state.lowercased())
  }
}
