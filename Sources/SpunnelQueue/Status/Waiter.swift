// Waits for jobs to end, and reports how each of them ended.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// The end of a job, or of a task of an array.
package struct JobEnd: Equatable, Sendable {
  package let label: String
  package let status: JobStatus

  package init(label: String, status: JobStatus) { (self.label, self.status) = (label, status) }
}

/// Waits for several jobs.
package struct Waiter {
  /// Milliseconds between two reads of spunnel-run's notes. These reads cost Slurm nothing.
  private static let glance = 100
  /// Milliseconds between two questions to Slurm while every job has a note that will report its
  /// end.
  private static let notedPause = 5000
  /// Milliseconds that slurmctld may need to learn of an end that a note reports.
  private static let settling = 150

  private static let mostHurries = 3

  private let board: JobBoard
  private let references: [JobReference]
  private var ends: [JobReference: JobEnd] = [:]
  /// The tasks and components that Slurm showed, or that the submission names.
  private var expected: [JobReference: [JobReference]] = [:]
  private var isLost = false
  /// How many requests may still come sooner than others, and when there were that many last.
  private var hurries = Waiter.mostHurries
  private var lastHurry = 0
  private var sawEnd = false

  /// - Parameters:
  ///   - board: looks jobs up
  ///   - references: the jobs, in the order of the results
  package init(_ board: JobBoard, _ references: [JobReference]) {
    self.board = board
    self.references = references
    for reference in references where reference.task == nil && reference.component == nil {
      expected[reference] = Waiter.tasks(of: reference, board)
    }
  }

  /// Waits until all jobs are over.
  ///
  /// - Parameter tell: is called once each time when slurmctld stops answering
  /// - Returns: the ends in the order of the jobs; tasks in the order of their numbers
  package mutating func wait(tell: (String) -> Void) -> [JobEnd] {
    var isFirst = true
    while true {
      do throws(SlurmError) {
        let numbers = references.map(\.job)
        let jobs = isFirst ? try board.ask(numbers) : try board.poll(numbers, hurries: mayHurry())
        isFirst = false
        isLost = false
        let open = references.filter { !isOver($0, jobs) }
        if open.isEmpty { break }
        pause(for: open, jobs)
      } catch {
        if !isLost { tell("\(error.description): still waiting") }
        isLost = true
        if error.kind == .installation { return references.map { unknown($0, error) } }
        sleep(1)
      }
    }
    return references.flatMap { found(of: $0) }
  }

  /// Saved requests are spent at an end: over a few seconds there is no more than one a second.
  private mutating func mayHurry() -> Bool {
    if !sawEnd { return false }
    let now = Clock.milliseconds()
    if now - lastHurry > Waiter.notedPause { hurries = Waiter.mostHurries }
    if hurries == 0 { return false }
    if hurries == Waiter.mostHurries { lastHurry = now }
    hurries -= 1
    return true
  }

  private func unknown(_ reference: JobReference, _ error: SlurmError) -> JobEnd {
    JobEnd(label: "\(reference)", status: .unknown(error.description))
  }

  /// The status of several ends: that of the first failure.
  package static func status(of ends: [JobEnd]) -> JobStatus {
    ends.first { $0.status.code != 0 }?.status ?? (ends.isEmpty ? .unknown("no job") : .exited(0))
  }

  private func found(of reference: JobReference) -> [JobEnd] {
    let parts = expected[reference] ?? []
    return parts.isEmpty
      ? [ends[reference]].compactMap { $0 } : parts.compactMap { ends[$0] }
  }

  /// Notes what Slurm says of one job.
  ///
  /// - Returns: whether the job is over
  private mutating func isOver(_ reference: JobReference, _ jobs: [JobInfo]) -> Bool {
    let records = reference.find(in: jobs)
    var parts = Set(expected[reference] ?? [])
    var alive: Set<JobReference> = []
    for job in records {
      if job.array == nil && job.het == nil {
        if job.phase != .over { return false }
        note(job, as: reference)
        return true
      }
      for part in Waiter.parts(of: job) where reference.covers(part) {
        parts.insert(part)
        if job.phase == .over { note(job, as: part) } else { alive.insert(part) }
      }
    }
    if parts.isEmpty {
      if ends[reference] == nil { recall(reference) }
      return true
    }
    for part in parts where ends[part] == nil && !alive.contains(part) { recall(part) }
    expected[reference] = parts.sorted {
      ($0.task ?? $0.component ?? 0) < ($1.task ?? $1.component ?? 0)
    }
    return alive.isEmpty
  }

  private mutating func note(_ job: JobInfo, as reference: JobReference) {
    if ends[reference] != nil { return }
    ends[reference] = JobEnd(label: "\(reference)", status: JobStatus(job))
    board.note(job)
  }

  private mutating func recall(_ reference: JobReference) {
    ends[reference] = JobEnd(label: "\(reference)", status: board.recall(reference))
  }

  private static func parts(of job: JobInfo) -> [JobReference] {
    if let array = job.array {
      if let task = job.task { return [JobReference(job: array, task: task)] }
      return job.waitingTasks.numbers.map { JobReference(job: array, task: $0) }
    }
    if let het = job.het, let component = job.component {
      return [JobReference(job: het, component: component)]
    }
    return [JobReference(job: job.id)]
  }

  /// The tasks with which an array was submitted.
  private static func tasks(of reference: JobReference, _ board: JobBoard) -> [JobReference] {
    guard let text = board.records?.read("\(reference.job).submit"),
      let submitted = SubmittedJob(text), let list = submitted.arrayList
    else { return [] }
    return TaskList(list).numbers.map { JobReference(job: reference.job, task: $0) }
  }

  /// Waits until a note reports an end, or for `notedPause`. If a job has no note, it returns at
  /// once: `JobBoard.poll` then limits the rate.
  private mutating func pause(for open: [JobReference], _ jobs: [JobInfo]) {
    let labels = open.flatMap { reference in
      reference.find(in: jobs).filter { $0.phase != .over }.map(\.label)
    }
    let notes = labels.prefix(64).map { board.run($0) }
    sawEnd = notes.contains { $0?.ended != nil }
    let hasAll = labels.count <= 64 && notes.allSatisfy { $0 != nil && $0?.ended == nil }
    if !hasAll { return }
    let deadline = Clock.milliseconds() + Waiter.notedPause
    while Clock.milliseconds() < deadline {
      usleep(UInt32(Waiter.glance) * 1000)
      if labels.contains(where: { board.run($0)?.ended != nil }) {
        sawEnd = true
        usleep(UInt32(Waiter.settling) * 1000)
        return
      }
    }
  }
}

extension JobReference {
  /// Whether the reference includes a part of a job.
  func covers(_ part: JobReference) -> Bool {
    (task == nil && component == nil) || self == part
  }
}

extension SubmittedJob {
  /// The numbers of `--array`; the last one counts, as for sbatch.
  package var arrayList: String? {
    var list: String?
    var isNext = false
    for word in words.map(\.text) {
      if isNext { list = word }
      isNext = word == "-a" || word == "--array"
      if word.hasPrefix("--array=") { list = String(word.dropFirst("--array=".count)) }
      if word.hasPrefix("-a"), word.count > 2 { list = String(word.dropFirst(2)) }
    }
    return list
  }
}
