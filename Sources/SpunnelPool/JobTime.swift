// How much time the job has left.

import SpunnelSystem

/// The end of this job, as Slurm last said it.
final class JobTime {
  /// The shortest time between two questions to Slurm, in milliseconds. An administrator may extend
  /// the job.
  private static let interval = 30_000

  private let job: String
  private var end: Int?
  private var asked: Int?

  init(job: String) { self.job = job }

  /// Whether the job has less time left than a task takes. Before a yes, Slurm is asked again.
  ///
  /// - Parameter seconds: how long a task takes at most
  func isShorter(than seconds: Int) -> Bool {
    if asked == nil { ask() }
    if !ends(within: seconds) { return false }
    if let asked, Clock.milliseconds() - asked < JobTime.interval { return true }
    ask()
    return ends(within: seconds)
  }

  private func ends(within seconds: Int) -> Bool {
    end.map { $0 - Clock.milliseconds() < seconds * 1000 } ?? false
  }

  private func ask() {
    asked = Clock.milliseconds()
    guard let squeue = Program.find("squeue") else { return }
    let program = Program(
      squeue, ["--noheader", "--jobs=\(job)", "--format=%L"], environment: Process.environment())
    guard let answer = try? program.capture(milliseconds: 10_000), answer.succeeded else { return }
    end = JobTime.left(answer.output).map { Clock.milliseconds() + $0 * 1000 }
  }

  /// Reads the time left in squeue's output (squeue(1), `%L`), in seconds; `nil` for a job without
  /// a limit.
  static func left(_ text: String) -> Int? {
    let word =
      text.split(whereSeparator: { $0 == " " || $0 == "\n" }).first.map { String($0) } ?? ""
    return SlurmTime.seconds(word)
  }
}
