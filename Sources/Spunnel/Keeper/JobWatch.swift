// What becomes of a job, as spunnel-jobs tells: a child that asks Slurm and writes a line at each
// change. The keeper itself knows no Slurm.

import Glibc
import SpunnelSystem

/// One line of `spunnel-jobs watch`.
enum JobNews: Equatable {
  case pending
  /// The job runs, or runs again, on these nodes.
  case running([NodeName])
  /// The job is gone for good.
  case over(String)
  /// slurmctld does not answer; nothing is known to have changed.
  case lost(String)

  /// - Returns: `nil` for a line that is none
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

extension NodeName {
  /// Names separated by commas. - Returns: `nil` when one is none, and for no names
  static func list(_ text: some StringProtocol) -> [NodeName]? {
    let words = text.split(separator: ",", omittingEmptySubsequences: false)
    let names = words.compactMap { NodeName($0) }
    return names.count == words.count ? names : nil
  }
}

final class JobWatch: EventHandler {
  /// Milliseconds before a child that ended by itself is started again.
  private static let pause = 2000
  private static let longestLine = 1 << 20

  private let loop: EventLoop
  private let program: String
  private let step: StepName
  private let tell: (JobNews) -> Void
  private var child: pid_t?
  private var news: FileDescriptor?
  private var question: FileDescriptor?
  private var partial: [UInt8] = []
  private var isOver = false

  /// - Parameters:
  ///   - program: the path of spunnel-jobs
  ///   - step: the job's; the extern step stands for the job as a whole
  ///   - tell: told each change
  init(_ loop: EventLoop, program: String, step: StepName, tell: @escaping (JobNews) -> Void) {
    self.loop = loop
    self.program = program
    self.step = step
    self.tell = tell
  }

  func start() throws(SystemError) {
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    let questions = try FileDescriptor.pipe()
    let answers = try FileDescriptor.pipe()
    let job = step.isWholeJob ? String(step.job) : "\(step.job).\(step.stepLabel)"
    var watch = Program(
      path: program, arguments: ["spunnel-jobs", "watch", job],
      descriptors: [questions.reader.raw, answers.writer.raw, null.raw])
    watch.parentDeathSignal = SIGKILL
    child = try watch.start()
    let reader = answers.reader
    let writer = questions.writer
    try loop.add(reader.raw, [.input], self)
    news = consume reader
    question = consume writer
  }

  /// Has Slurm asked at once: something happened that the end of the job would explain.
  func ask() {
    do throws(SystemError) { try question?.writeAll([10]) } catch {}
  }

  func stop() {
    isOver = true
    forget()
    guard let child else { return }
    self.child = nil
    Process.end(group: child, patience: 100)
  }

  /// To be called whenever a child may have ended.
  func reap() {
    guard let child, case .ended = Process.poll(child) else { return }
    self.child = nil
    listen()
    forget()
    if isOver { return }
    // It was killed: the job has not ended by that.
    loop.after(milliseconds: JobWatch.pause) { [weak self] in self?.restart() }
  }

  private func restart() {
    if isOver || child != nil { return }
    do throws(SystemError) { try start() } catch {
      tell(.lost("\(error)"))
      loop.after(milliseconds: JobWatch.pause) { [weak self] in self?.restart() }
    }
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) { listen() }

  private func listen() {
    guard let bytes = try? news?.read(atMost: 1 << 16) ?? nil else { return }
    if bytes.isEmpty || partial.count > JobWatch.longestLine { return forget() }
    partial += bytes
    while let end = partial.firstIndex(of: 10) {
      let line = String(decoding: partial[..<end], as: UTF8.self)
      partial.removeFirst(end + 1)
      if let news = JobNews(line: line) {
        if case .over = news { isOver = true }
        tell(news)
      }
    }
  }

  private func forget() {
    if let raw = news?.raw { loop.remove(raw) }
    news = nil
    question = nil
    partial = []
  }
}
