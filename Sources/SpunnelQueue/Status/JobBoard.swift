// The present state of a user's jobs, from every source: Slurm, sacct if the site has accounting,
// and the queue's records. All waiting commands of a user together ask Slurm at most once a second.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// Looks up jobs.
package struct JobBoard {
  /// The least time between two questions of all waiting commands of a user, in milliseconds.
  package static let pause = 1000
  /// The same right after the end of a job. Slurm often hears of an end later than its note is written.
  private static let shortPause = 200

  private static let sharedColumns = [
    "id", "array", "task", "tasks", "throttle", "het", "component", "name", "user", "phase",
    "state",
    "completing", "reason", "partition", "nodes", "node_count", "cpus", "memory_per_node",
    "memory_per_cpu", "submitted", "started", "ended", "limit", "exit", "derived_exit", "folder",
    "output", "errors", "command", "features", "tres", "restarts", "batch_host",
  ]

  private let slurm: SlurmHelper
  package let records: JobRecords?
  private let user: uid_t

  package init(_ slurm: SlurmHelper, _ records: JobRecords?, user: uid_t) {
    self.slurm = slurm
    self.records = records
    self.user = user
  }

  /// Asks Slurm at once for jobs of any user.
  package func ask(_ numbers: [UInt32]) throws(SlurmError) -> [JobInfo] {
    try slurm.jobs(.jobs(Array(Set(numbers))))
  }

  /// Waits for the next shared answer, at least a second after the last one. Any waiting command of
  /// the user may ask for it. Jobs of other users are asked for separately.
  ///
  /// - Parameter hurries: whether an end was just noted; the answer then comes sooner
  package func poll(_ numbers: [UInt32], hurries: Bool = false) throws(SlurmError) -> [JobInfo] {
    guard let records, let gate = SharedAnswer(records) else {
      usleep(UInt32(JobBoard.pause) * 1000)
      return try ask(numbers)
    }
    let pause = hurries ? JobBoard.shortPause : JobBoard.pause
    let bytes = try gate.take(every: pause) { () throws(SlurmError) in
      try slurm.answer(.user(user), columns: JobBoard.sharedColumns)
    }
    guard let own = SlurmHelper.jobs(in: bytes) else { return try ask(numbers) }
    let missing = numbers.filter { JobReference(job: $0).find(in: own).isEmpty }
    return missing.isEmpty ? own : own + (try ask(missing))
  }

  /// The end of a job that Slurm has forgotten, from the records or from accounting.
  package func recall(_ reference: JobReference) -> JobStatus {
    if let records {
      if let end = records.read("\(reference).end"), let job = JobInfo(end: end) {
        return JobStatus(job)
      }
      if let text = records.read("\(reference).run"), let note = RunNote(text) {
        if let status = note.status { return JobStatus(wait: status) }
      }
    }
    if let status = Accounting.status(of: reference) { return status }
    return .unknown("Slurm has forgotten job \(reference), and no record tells how it ended")
  }

  /// Writes the record of a job that is over. Jobs of other users are skipped.
  package func note(_ job: JobInfo) {
    guard let records, job.phase == .over, job.user == user else { return }
    try? records.write("\(job.label).end", job.endText)
  }

  /// What spunnel-run noted of a job; `nil` without a note.
  package func run(_ label: String) -> RunNote? {
    records?.read("\(label).run").flatMap { RunNote($0) }
  }
}

/// An answer of Slurm that all processes of a user share, in one file.
struct SharedAnswer: ~Copyable {
  private static let longest = 256 << 20

  private let file: FileDescriptor

  init?(_ records: JobRecords) {
    do throws(SystemError) {
      try records.create()
      let folder = try Directory.open(following: records.path)
      file = try FileDescriptor.open(
        "answer", in: folder.descriptor.raw, O_RDWR | O_CREAT | O_NOFOLLOW)
    } catch { return nil }
  }

  /// The next answer.
  ///
  /// - Parameters:
  ///   - milliseconds: the least age of the last answer before the next question
  ///   - ask: asks Slurm
  /// - Returns: an answer to a question that was asked after this call
  borrowing func take(
    every milliseconds: Int, _ ask: () throws(SlurmError) -> [UInt8]
  ) throws(SlurmError) -> [UInt8] {
    let before = time
    guard flock(file.raw, LOCK_EX) == 0 else { return try ask() }
    defer { _ = flock(file.raw, LOCK_UN) }
    // Another process has asked while this one waited for the lock.
    if time != before, let bytes = content { return bytes }
    let left = time + milliseconds - Clock.wallMilliseconds()
    if left > 0, left <= milliseconds { usleep(UInt32(left) * 1000) }
    let bytes = try ask()
    keep(bytes)
    return bytes
  }

  /// When the last answer came, in milliseconds since 1970.
  private var time: Int {
    var status = stat()
    guard unsafe fstat(file.raw, &status) == 0 else { return 0 }
    return Int(status.st_mtim.tv_sec) * 1000 + Int(status.st_mtim.tv_nsec) / 1_000_000
  }

  private var content: [UInt8]? {
    lseek(file.raw, 0, SEEK_SET)
    return try? file.content(expecting: file.size(), atMost: SharedAnswer.longest)
  }

  private borrowing func keep(_ bytes: [UInt8]) {
    _ = ftruncate(file.raw, 0)
    lseek(file.raw, 0, SEEK_SET)
    try? file.writeAll(bytes)
    _ = futimens(file.raw, nil)
  }
}

/// Asks sacct, if the site has accounting.
enum Accounting {
  /// - Returns: `nil` when sacct does not know the job, or it has not ended
  static func status(of reference: JobReference) -> JobStatus? {
    guard let sacct = Program.find("sacct") else { return nil }
    let program = Program(
      sacct,
      [
        "--noheader", "--parsable2", "--allocations", "--duplicates", "--jobs",
        "\(reference)", "--format", "State,ExitCode",
      ], environment: Process.environment())
    let result: ProgramResult
    do throws(SystemError) { result = try program.capture(milliseconds: 20_000) } catch {
      return nil
    }
    // The last line belongs to the job's last start.
    guard result.succeeded, let line = result.output.split(separator: "\n").last else { return nil }
    let parts = line.split(separator: "|")
    guard parts.count == 2, let state = parts[0].split(separator: " ").first else { return nil }
    let codes = parts[1].split(separator: ":").compactMap { Int($0) }
    guard codes.count == 2, Accounting.ended.contains(String(state)) else { return nil }
    var job = JobInfo(id: reference.job, user: 0, phase: .over)
    job.state = String(state)
    job.exit = codes[0] << 8 | codes[1]
    return JobStatus(job)
  }

  private static let ended: Set<String> = [
    "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "DEADLINE", "OUT_OF_MEMORY", "NODE_FAIL",
    "BOOT_FAIL", "PREEMPTED",
  ]
}
