// How much time Slurm leaves to the job.

import SpunnelSystem

/// The end of this job, as Slurm said it last.
final class JobTime {
  /// Slurm is asked at most so often, in milliseconds: an administrator may have given more time.
  private static let interval = 30_000

  private let job: String
  private var end: Int?
  private var asked: Int?

  init(job: String) { self.job = job }

  /// Whether less is left than a task takes. When it looks so, Slurm is asked once more.
  ///
  /// - Parameter seconds: what a task takes
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

  /// Reads squeue's time left (squeue(1), `%L`); `nil` for a job without a limit.
  static func left(_ text: String) -> Int? {
    let word =
      text.split(whereSeparator: { $0 == " " || $0 == "\n" }).first.map { String($0) } ?? ""
    return SlurmTime.seconds(word)
  }
}
