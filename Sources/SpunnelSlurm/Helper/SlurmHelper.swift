// Asks Slurm through spunnel-jobs, the only program that links Slurm's library, and returns its
// answers as typed values.

import Glibc
import SpunnelSystem

/// Why Slurm gave no answer.
package struct SlurmError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The kind of failure.
  package enum Kind: Sendable {
    /// Slurm does not answer, or refuses.
    case slurm
    /// spunnel-jobs is missing, cannot run here, or belongs to another Spunnel.
    case installation
  }

  /// Whether Slurm or the installation is the cause.
  package let kind: Kind
  /// `<what was being done>: <what went wrong>: <what to type next>`.
  package let description: String

  package init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }
}

/// Asks questions through the helper program.
package struct SlurmHelper: Sendable {
  /// A selection of jobs.
  package enum Selection: Sendable {
    /// The jobs of all users.
    case all
    /// The jobs of one user.
    case user(uid_t)
    /// The jobs with these numbers. The number of an array or a heterogeneous job selects all of
    /// its tasks or components. Numbers that Slurm does not know are left out.
    case jobs([UInt32])
  }

  /// The path of spunnel-jobs.
  package let path: String
  /// `NAME=value` entries; `nil` for this process's own environment. `SLURM_CONF` selects the
  /// cluster.
  package let environment: [ByteString]?

  /// Describes a helper; it is started for each question.
  package init(path: String, environment: [ByteString]? = nil) {
    self.path = path
    self.environment = environment
  }

  /// The selected jobs. The waiting tasks of an array count as one job.
  package func jobs(_ selection: Selection) throws(SlurmError) -> [JobInfo] {
    if case .jobs(let numbers) = selection, numbers.isEmpty { return [] }
    var jobs: [JobInfo] = []
    try records("jobs", ["list"] + SlurmHelper.words(selection)) { record in
      if let job = JobInfo(record) { jobs.append(job) }
    }
    return jobs
  }

  /// Calls `body` for each selected job with only the named columns, for long lists.
  ///
  /// - Parameter columns: names from Sources/SlurmHelper/list.c
  package func eachJob(
    _ selection: Selection, columns: [String], _ body: (HelperRecord) -> Void
  ) throws(SlurmError) {
    if case .jobs(let numbers) = selection, numbers.isEmpty { return }
    let words = ["list"] + SlurmHelper.words(selection)
    try records("jobs", words + ["--columns", columns.joined(separator: ",")], body)
  }

  /// The helper's unparsed answer for jobs, so that several processes can read it.
  ///
  /// - Parameter columns: names from Sources/SlurmHelper/list.c
  package func answer(_ selection: Selection, columns: [String]) throws(SlurmError) -> [UInt8] {
    var bytes: [UInt8] = []
    let words = ["list"] + SlurmHelper.words(selection)
    try records(
      "jobs", words + ["--columns", columns.joined(separator: ",")], { _ in },
      tee: { bytes += $0 })
    return bytes
  }

  /// Reads the jobs of an answer. Values of missing columns are empty.
  ///
  /// - Returns: `nil` if the answer is incomplete
  package static func jobs(in answer: [UInt8]) -> [JobInfo]? {
    var reader = RecordReader(kind: "jobs")
    var jobs: [JobInfo] = []
    do throws(RecordReader.Problem) {
      try reader.take(answer) { if let job = JobInfo($0) { jobs.append(job) } }
      try reader.end()
    } catch { return nil }
    return jobs
  }

  /// The cluster's nodes.
  package func nodes() throws(SlurmError) -> [NodeInfo] {
    var nodes: [NodeInfo] = []
    try records("nodes", ["nodes"]) { nodes.append(NodeInfo($0)) }
    return nodes
  }

  /// The partitions that this user may see.
  package func partitions() throws(SlurmError) -> [PartitionInfo] {
    var partitions: [PartitionInfo] = []
    try records("partitions", ["partitions"]) { partitions.append(PartitionInfo($0)) }
    return partitions
  }

  /// Slurm's configuration and its place, as Slurm's library finds them. slurmctld is not asked.
  package func configuration() throws(SlurmError) -> ConfigurationInfo {
    var found: ConfigurationInfo?
    try records("config", ["config"]) { found = ConfigurationInfo($0) }
    guard let found else {
      throw SlurmError(.installation, "ask Slurm for its configuration: spunnel-jobs told none")
    }
    return found
  }

  private static func words(_ selection: Selection) -> [String] {
    switch selection {
    case .all: []
    case .user(let user): ["--user", String(user)]
    case .jobs(let numbers): numbers.flatMap { ["--job", String($0)] }
    }
  }
}

// MARK: - Running the helper

extension SlurmHelper {
  private static let pieceSize = 1 << 18

  /// Seconds without a word from the helper. If slurmctld is away, Slurm's library gives up earlier.
  /// `SPUNNEL_SLURM_TIMEOUT` sets another number.
  static var patience: Int {
    let seconds = Process.environment("SPUNNEL_SLURM_TIMEOUT").flatMap { wholeNumber($0) }
    return seconds.flatMap { (1...3600).contains($0) ? $0 : nil } ?? 30
  }

  /// Says that the helper was silent for so long, and what to look at.
  static var lateness: String {
    "spunnel-jobs did not answer within \(patience) s: see whether slurmctld answers, with scontrol ping, "
      + "and whether this host is overloaded"
  }

  /// Runs the helper to its end, and calls `body` with each record as it arrives.
  private func records(
    _ kind: String, _ words: [String], _ body: (HelperRecord) -> Void,
    tee: ([UInt8]) -> Void = { _ in }
  ) throws(SlurmError) {
    let (status, complaint, problem) = try run(kind, words, body, tee)
    if status == 0 {
      guard let problem else { return }
      throw SlurmError(.installation, SlurmHelper.words(of: problem, kind))
    }
    let said = complaint ?? "spunnel-jobs ended with status \(status)"
    let kind: SlurmError.Kind = status == 1 ? .slurm : .installation
    throw SlurmError(kind, status == ForeignHelper.status ? ForeignHelper.reason(said) : said)
  }

  private typealias Ending = (status: Int, complaint: String?, problem: RecordReader.Problem?)

  private func run(
    _ kind: String, _ words: [String], _ body: (HelperRecord) -> Void,
    _ tee: ([UInt8]) -> Void
  ) throws(SlurmError) -> Ending {
    do throws(SystemError) {
      let nothing = try FileDescriptor.open("/dev/null", O_RDONLY)
      let answers = try FileDescriptor.pipe(childHas: .writer)
      let complaints = try FileDescriptor.pipe(childHas: .writer)
      var program = Program(
        path: path, arguments: ["spunnel-jobs"] + words, environment: environment,
        descriptors: [nothing.raw, answers.writer.raw, complaints.writer.raw])
      program.parentDeathSignal = SIGKILL
      program.newSession = false
      let child = try program.start()
      let answer = answers.reader
      let complaint = complaints.reader
      SlurmHelper.close(answers.writer)
      SlurmHelper.close(complaints.writer)
      let problem: RecordReader.Problem?
      do throws(SystemError) {
        problem = try SlurmHelper.read(answer, RecordReader(kind: kind), body, tee)
      } catch {
        _ = kill(child, SIGKILL)
        _ = SlurmHelper.outcome(of: child)
        throw error
      }
      // It is one line, which the pipe has held until now.
      let said = try SlurmHelper.content(of: complaint)
      return (SlurmHelper.outcome(of: child), SlurmHelper.lastLine(said), problem)
    } catch {
      if error.code == ETIMEDOUT {
        throw SlurmError(.slurm, "ask Slurm for \(kind): \(SlurmHelper.lateness)")
      }
      let advice = error.code == ENOENT ? ": is the installation complete?" : ""
      throw SlurmError(.installation, "ask Slurm for \(kind): \(error)\(advice)")
    }
  }

  private static func close(_ end: consuming FileDescriptor) { _ = consume end }

  private static func read(
    _ answer: borrowing FileDescriptor, _ reader: RecordReader,
    _ body: (HelperRecord) -> Void, _ tee: ([UInt8]) -> Void
  ) throws(SystemError) -> RecordReader.Problem? {
    var reader = reader
    var problem: RecordReader.Problem?
    while true {
      guard answer.waitReadable(milliseconds: patience * 1000) else {
        throw SystemError("read spunnel-jobs' answer", ETIMEDOUT)
      }
      guard let bytes = try answer.read(atMost: pieceSize), !bytes.isEmpty else { break }
      if problem != nil { continue }
      tee(bytes)
      do throws(RecordReader.Problem) { try reader.take(bytes, body) } catch { problem = error }
    }
    do throws(RecordReader.Problem) { try reader.end() } catch { problem = problem ?? error }
    return problem
  }

  private static func content(
    of complaint: borrowing FileDescriptor
  ) throws(SystemError) -> [UInt8] {
    var said: [UInt8] = []
    while complaint.waitReadable(milliseconds: -1),
      let bytes = try complaint.read(atMost: 4096), !bytes.isEmpty
    {
      said = (said + bytes).suffix(4096)
    }
    return said
  }

  private static func outcome(of child: pid_t) -> Int {
    while true {
      if case .ended(let status) = Process.poll(child) { return status }
      usleep(500)
    }
  }

  private static func lastLine(_ said: [UInt8]) -> String? {
    guard let line = said.split(separator: 10).last else { return nil }
    let text = String(decoding: line, as: UTF8.self)
    let name = "spunnel-jobs: "
    return text.hasPrefix(name) ? String(text.dropFirst(name.count)) : text
  }

  private static func words(of problem: RecordReader.Problem, _ kind: String) -> String {
    let what = "ask Slurm for \(kind): "
    return switch problem {
    case .format(let number):
      what + "spunnel-jobs answers in format '\(number)', and this program knows format 1: "
        + "install both of one Spunnel"
    case .line(let number):
      what + "line \(number) of spunnel-jobs's answer makes no sense: install both of one Spunnel"
    case .cut: what + "spunnel-jobs's answer was cut: try again"
    }
  }
}
