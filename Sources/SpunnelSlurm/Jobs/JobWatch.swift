// Watches a job through spunnel-jobs: a child that asks Slurm and writes a line for each change.
// The keeper itself does not link Slurm.

import Glibc
import SpunnelSystem

/// One line of `spunnel-jobs watch`.
public enum JobNews: Equatable, Sendable {
  case pending
  /// The job runs, or runs again, on these nodes.
  case running([NodeName])
  /// The job has ended for good.
  case over(String)
  /// slurmctld does not answer. The job's state may be unchanged.
  case lost(String)
  /// spunnel-jobs ended several times without any line.
  case untold(String)

  /// Reads a line.
  ///
  /// - Returns: `nil` if the line is invalid
  init?(line: some StringProtocol) {
    let parts = String(line).split(separator: " ", maxSplits: 1).map(String.init)
    let rest = parts.count == 2 ? parts[1] : ""
    switch parts.first {
    case "pending": self = .pending
    case "over": self = .over(printable(rest))
    case "lost": self = .lost(printable(rest))
    case "running":
      guard let nodes = NodeName.list(rest) else { return nil }
      self = .running(nodes)
    default: return nil
    }
  }
}

/// Runs `spunnel-jobs watch` as a child, restarts it if it ends by itself, and reports its lines.
public final class JobWatch: EventHandler {
  /// Multiplies the restart delay after too many failures. An administrator may repair the
  /// installation in the meantime.
  private static let longPause = 30
  /// The number of ends without any line after which the watch reports `untold`: for a program that
  /// cannot run here, and for a program that gives a reason, because Slurm may only be starting.
  private static let mostFailures = (unable: 3, other: 15)

  private let loop: EventLoop
  private let program: String
  private let step: StepName
  private let tunnels: String
  private let pause: Int
  private let poll: Int
  private let tell: (JobNews) -> Void
  private var child: pid_t?
  private var news: FileDescriptor?
  private var question: FileDescriptor?
  private var errors: FileDescriptor?
  private var lines = LineBuffer(longest: 1 << 20)
  /// The end of the child's standard error.
  private var said: [UInt8] = []
  private var lastComplaint: String?
  private var failures = 0
  private var hasTold = false
  private var isOver = false

  /// Prepares to watch; `start` begins.
  ///
  /// - Parameters:
  ///   - program: the path of spunnel-jobs
  ///   - step: the job's step; the extern step stands for the whole job
  ///   - tunnels: the folder of the user's records; if there are many records, each tunnel asks
  ///     Slurm less often
  ///   - poll: seconds between two questions to slurmctld when the job no longer changes
  ///   - pause: milliseconds before a child that ended by itself is started again
  ///   - tell: called with each change
  public init(
    _ loop: EventLoop, program: String, step: StepName, tunnels: String, poll: Int = 4,
    pause: Int = 2000,
    tell: @escaping (JobNews) -> Void
  ) {
    self.loop = loop
    self.program = program
    self.step = step
    self.tunnels = tunnels
    self.pause = pause
    self.poll = poll
    self.tell = tell
  }

  /// Starts the child.
  public func start() throws(SystemError) {
    let questions = try FileDescriptor.pipe(childHas: .reader)
    let answers = try FileDescriptor.pipe(childHas: .writer)
    let complaints = try FileDescriptor.pipe(childHas: .writer)
    let job = step.isWholeJob ? String(step.job) : "\(step.job).\(step.stepLabel)"
    var watch = Program(
      path: program, arguments: ["spunnel-jobs", "watch", job, tunnels, String(poll)],
      descriptors: [questions.reader.raw, answers.writer.raw, complaints.writer.raw])
    watch.parentDeathSignal = SIGKILL
    let reader = answers.reader
    let writer = questions.writer
    let listener = complaints.reader
    let raws = [reader.raw, listener.raw]
    news = consume reader
    question = consume writer
    errors = consume listener
    do throws(SystemError) {
      for raw in raws { try loop.add(raw, [.input], self) }
      child = try watch.start()
    } catch {
      forget()
      forgetErrors()
      throw error
    }
  }

  /// Asks Slurm at once, because something has happened that the end of the job would explain.
  public func ask() {
    do throws(SystemError) { try question?.writeAll([10]) } catch {}
  }

  /// Ends the child and waits for it.
  public func stop() {
    isOver = true
    forget()
    forgetErrors()
    guard let child else { return }
    self.child = nil
    Process.end(group: child, patience: 100)
  }

  /// Reaps the child if it has ended, and plans a restart if it ended by itself. To be called
  /// whenever a child may have ended.
  public func reap() {
    guard let child, case .ended(let code) = Process.poll(child) else { return }
    self.child = nil
    while listen() {}
    while hearErrors() {}
    let complaint = takeComplaint()
    forget()
    forgetErrors()
    if isOver { return }
    // The child may have been killed, which says nothing about the job.
    restart(after: judge(code, complaint) ? pause * JobWatch.longPause : pause)
  }

  /// Reports the end of a child that ended by itself.
  ///
  /// - Returns: whether it has ended too often without any line
  private func judge(_ code: Int, _ complaint: String?) -> Bool {
    if hasTold || JobWatch.isKill(code) {
      if let complaint { tellOnce(complaint) }
      return false
    }
    failures += 1
    let isUnable = code == ForeignHelper.status
    let said = complaint ?? "\(program) ended with status \(code) and without a word"
    let reason = isUnable ? ForeignHelper.reason(said) : said
    let most = isUnable ? JobWatch.mostFailures.unable : JobWatch.mostFailures.other
    if failures == most { tell(.untold(reason)) } else { tellOnce(reason) }
    return failures >= most
  }

  /// Whether a signal from outside ended the child.
  private static func isKill(_ code: Int) -> Bool {
    [SIGKILL, SIGTERM, SIGINT, SIGHUP].contains { code == 128 + Int($0) }
  }

  /// Reports a reason, unless it was the last reason reported.
  private func tellOnce(_ complaint: String) {
    if complaint == lastComplaint { return }
    lastComplaint = complaint
    tell(.lost(complaint))
  }

  private func restart(after milliseconds: Int) {
    loop.after(milliseconds: milliseconds) { [weak self] in self?.restart() }
  }

  private func restart() {
    if isOver || child != nil { return }
    do throws(SystemError) { try start() } catch {
      tellOnce("\(error)")
      restart(after: pause)
    }
  }

  public func handle(_ descriptor: CInt, _ readiness: Readiness) {
    _ = descriptor == errors?.raw ? hearErrors() : listen()
  }

  /// Reads the child's lines.
  ///
  /// - Returns: whether there may be more
  private func listen() -> Bool {
    guard let bytes = try? news?.read(atMost: 1 << 16) else { return false }
    if bytes.isEmpty || lines.isOverlong {
      forget()
      return false
    }
    lines.append(bytes)
    while let line = lines.next() {
      if let news = JobNews(line: line) {
        hasTold = true
        if case .over = news { isOver = true }
        tell(news)
      }
    }
    return true
  }

  /// Reads the child's standard error.
  ///
  /// - Returns: whether there may be more
  private func hearErrors() -> Bool {
    guard let bytes = try? errors?.read(atMost: 4096) else { return false }
    if bytes.isEmpty { forgetErrors() }
    said = (said + bytes).suffix(4096)
    return !bytes.isEmpty
  }

  /// The last line that the child wrote to standard error since its start.
  private func takeComplaint() -> String? {
    defer { said = [] }
    return said.split(whereSeparator: { $0 == 10 || $0 == 13 }).last.map {
      printable(String(decoding: $0, as: UTF8.self))
    }
  }

  private func forgetErrors() {
    if let raw = errors?.raw { loop.remove(raw) }
    errors = nil
  }

  private func forget() {
    if let raw = news?.raw { loop.remove(raw) }
    news = nil
    question = nil
    lines.drop()
  }
}
