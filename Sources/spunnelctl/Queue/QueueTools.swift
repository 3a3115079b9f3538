// What all commands of the queue share: the helper, the user's records, and job arguments.

import Glibc
import SpunnelCLI
import SpunnelPool
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

/// Access to Slurm and to the queue's records.
struct QueueTools {
  let installation: Installation
  let slurm: SlurmHelper
  let records: JobRecords?
  let board: JobBoard
  /// `NAME=value` entries for another cluster; `nil` for the environment of this process.
  let environment: [ByteString]?

  /// - Parameter environment: of a cluster that this process's own does not name; `nil`: of the site's, or on a
  ///   machine without one of the user's own cluster
  init(environment: [ByteString]? = nil) throws(CommandError) {
    guard let installation = Installation.current else { throw .failure(Installation.absence) }
    self.installation = installation
    let environment =
      environment ?? PersonalCluster.standIn(SlurmHelper(path: installation.jobs))
    self.environment = environment
    slurm = SlurmHelper(path: installation.jobs, environment: environment)
    records = JobRecords { QueueTools.value(of: $0, in: environment) }
    board = JobBoard(slurm, records, user: getuid())
  }

  private static func value(of name: String, in environment: [ByteString]?) -> String? {
    guard let environment else { return Process.environment(name) }
    return environment.last { $0.hasPrefix(name + "=") }?.dropFirst(name.utf8.count + 1).text
  }

  /// The path of one of Slurm's programs, found on the `PATH` of the environment.
  func program(_ name: String) throws(CommandError) -> ByteString {
    let path = QueueTools.value(of: "PATH", in: environment) ?? "/usr/bin:/bin"
    if let found = Program.find(ByteString(name), searchPath: ByteString(path)) { return found }
    throw .failure(
      "find '\(name)': no such program on PATH: \(PersonalCluster.advice)")
  }

  var runner: String { installation.prefix + "/libexec/spunnel/spunnel-run" }

  /// Asks Slurm for jobs. A job that Slurm does not know is left out.
  func ask(_ references: [JobReference]) throws(CommandError) -> [JobInfo] {
    do throws(SlurmError) { return try board.ask(references.map(\.job)) } catch {
      throw .failure(error.description)
    }
  }

  /// A job as Slurm knows it, or as the records do.
  ///
  /// - Throws: when neither knows it
  func find(_ reference: JobReference) throws(CommandError) -> [JobInfo] {
    let found = reference.find(in: try ask([reference]))
    if !found.isEmpty { return found }
    if let end = records?.read("\(reference).end"), let job = JobInfo(end: end) { return [job] }
    throw .failure(
      "find job \(reference): Slurm has no such job now, and no record: spunnelctl queue lists "
        + "those that it has")
  }

  /// The progress of a job's pool; `nil` for a job without a pool.
  func poolProgress(_ label: String) -> PoolProgress? {
    guard let text = records?.read("\(label).submit"), let log = SubmittedJob(text)?.poolLog else {
      return nil
    }
    return PoolProgress.read(log: log)
  }

  /// Runs one of Slurm's programs with this process's own streams.
  ///
  /// - Returns: its exit status
  func run(_ name: String, _ words: [ByteString]) throws(CommandError) -> ExitCode {
    let path = try program(name)
    var change = Program(
      path: path, arguments: [ByteString(name)] + words, environment: environment,
      descriptors: [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO])
    change.newSession = false
    do throws(SystemError) {
      let child = try change.start()
      while true {
        if case .ended(let status) = Process.poll(child) { return ExitCode(rawValue: CInt(status)) }
        usleep(500)
      }
    } catch { throw .failure("run \(name): \(error)") }
  }
}

extension ValueKind<JobReference> {
  /// A job, a task of an array, or a component of a heterogeneous job.
  static var queued: ValueKind {
    ValueKind(completion: .asked { _ in JobWords.jobs }) { text throws(ValueError) in
      if let reference = JobReference(text) { return reference }
      throw ValueError(wanted: "a job's number, as in 12, 12_3 or 12+1")
    }
  }
}

extension JobStatus {
  var exitCode: ExitCode { ExitCode(rawValue: CInt(code)) }
}

/// Prints on standard error how each failed job ended.
func tellEnds(_ ends: [JobEnd]) {
  let failed = ends.filter { $0.status.code != 0 }
  for end in failed.prefix(20) {
    remark("spunnelctl: job \(end.label): \(printable(end.status.words))")
  }
  if failed.count > 20 { remark("spunnelctl: \(failed.count - 20) more jobs did not end well") }
}

/// Formats times as Slurm's commands do.
enum QueueTime {
  /// A time span: `1-02:03:04`, `2:03:04` or `3:04`.
  static func span(_ seconds: Int) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400)
    let (hours, minutes) = (rest / 3600, rest % 3600 / 60)
    let tail = twoDigits(minutes) + ":" + twoDigits(rest % 60)
    if days > 0 { return "\(days)-\(twoDigits(hours)):\(tail)" }
    return hours > 0 ? "\(hours):\(tail)" : "\(minutes):\(twoDigits(rest % 60))"
  }

  static func limit(_ limit: Limit?) -> String {
    switch limit {
    case .of(let minutes): span(minutes * 60)
    case .unlimited: "UNLIMITED"
    case nil: ""
    }
  }

  static func point(_ seconds: Int?) -> String {
    seconds.map { Units.localTime($0 * 1000) } ?? ""
  }

  private static func twoDigits(_ number: Int) -> String {
    number < 10 ? "0\(number)" : String(number)
  }

  static var now: Int { Clock.wallMilliseconds() / 1000 }
}
