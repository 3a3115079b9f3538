// Slurm's facts about one job. They come from spunnel-jobs, the only program of Spunnel that links
// libslurm.

import Glibc
import SpunnelSystem

/// A job or a job step, as `spunnel-jobs show` prints it.
public struct JobFacts {
  /// The step; the extern step for a whole job.
  public let step: StepName
  /// `pending`, `running` or `over`; empty for a whole array.
  public let state: String
  /// For people, such as `PENDING Resources`.
  public let detail: String
  public let user: uid_t
  public let isArray: Bool
  /// The names of the nodes that it has.
  public let nodes: [String]

  /// The owner's login name, or the uid if this host does not know the user.
  public var owner: String {
    let name = Host.userName(of: user)
    return name == String(user) ? "uid \(user)" : name
  }

  /// Asks Slurm once.
  ///
  /// - Parameters:
  ///   - text: a job as Slurm's commands write it, with or without a step after a dot
  ///   - whenLate: called once, when Slurm has not answered for two seconds
  public static func ask(
    _ text: String, whenLate: () -> Void = {}
  ) throws(JobFactsError) -> JobFacts {
    guard let installation = Installation.current else {
      throw .failed("ask Slurm for job '\(printable(text))': \(Installation.absence)")
    }
    let jobs = Program(
      installation.jobs, ["show", text], environment: Process.environment())
    let result: ProgramResult
    let patience = SlurmHelper.patience
    do throws(SystemError) {
      result = try jobs.capture(milliseconds: patience * 1000, whenLate: whenLate)
    } catch {
      let advice = error.code == ENOENT ? ": is the installation complete?" : ""
      throw .failed("ask Slurm for job '\(printable(text))': \(error)\(advice)")
    }
    if result.isLate {
      throw .failed("ask Slurm for job '\(printable(text))': \(SlurmHelper.lateness)")
    }
    if result.status == usageStatus { throw .malformed(words(of: result.lastLine)) }
    if result.status == ForeignHelper.status {
      throw .failed(ForeignHelper.reason(words(of: result.lastLine)))
    }
    if result.status == missingStatus { throw .missing(words(of: result.lastLine)) }
    if !result.succeeded { throw .failed(words(of: result.lastLine)) }
    guard let facts = JobFacts(result.output) else {
      throw .failed(
        "ask Slurm for job '\(printable(text))': spunnel-jobs said "
          + "'\(printable(result.lastLine))': is the installation complete?")
    }
    return facts
  }

  /// Whether Slurm says that a job is over, or knows it no more.
  ///
  /// - Parameter installation: whose helper asks
  public static func isOver(_ job: UInt32, _ installation: Installation) -> Bool {
    let jobs = Program(installation.jobs, ["show", "\(job)"], environment: Process.environment())
    guard let result = try? jobs.capture(milliseconds: shortPatience) else { return false }
    if result.status == missingStatus { return true }
    return result.succeeded && JobFacts(result.output)?.state == "over"
  }

  /// Milliseconds for an answer that only spares the user a moment.
  private static let shortPatience = 3000
  /// The helper's exit status if the words name no job.
  private static let usageStatus = 2
  /// The helper's exit status if Slurm has no such job, or the step does not run.
  private static let missingStatus = 3

  /// The helper's message without the helper's name.
  private static func words(of line: String) -> String {
    let name = "spunnel-jobs: "
    return printable(line.hasPrefix(name) ? String(line.dropFirst(name.count)) : line)
  }

  init?(_ text: String) {
    var values: [Substring: Substring] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: " ", maxSplits: 1)
      if parts.count == 2 { values[parts[0]] = parts[1] }
    }
    isArray = values["array"] == "yes"
    // A whole array has no state.
    guard let job = values["job"].flatMap({ UInt32($0) }),
      let state = values["state"] ?? (isArray ? "" : nil),
      let user = values["user"].flatMap({ uid_t($0) })
    else { return nil }
    step =
      values["step"].flatMap { UInt32($0) }.map { StepName(job: job, step: $0) }
      ?? .wholeJob(job)
    self.state = String(state)
    detail = printable(values["detail"] ?? "")
    self.user = user
    nodes = (values["nodes"] ?? "").split(separator: ",").map(String.init)
  }
}

/// Why Slurm said nothing about a job, in one line.
public enum JobFactsError: Error, Equatable, Sendable {
  /// The words do not name a job.
  case malformed(String)
  /// Slurm has no such job now, or the step does not run.
  case missing(String)
  /// Slurm does not answer, or could not be asked.
  case failed(String)
}
