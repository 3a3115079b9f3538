// What Slurm knows about a job: spunnel-jobs, the one program of ours that links libslurm, tells.

import Glibc
import SpunnelSystem

/// A job or a step of one, as `spunnel-jobs show` prints it.
public struct JobFacts {
  public let step: StepName
  public let state: String
  /// For people: `PENDING Resources`.
  public let detail: String
  public let user: uid_t
  public let isArray: Bool
  /// The nodes that it has, by their names.
  public let nodes: [String]

  /// The login name, where this host knows one.
  public var owner: String {
    let name = Host.userName(of: user)
    return name == String(user) ? "uid \(user)" : name
  }

  /// Asks Slurm once.
  ///
  /// - Parameter text: a job as Slurm's commands write it, with a step behind a dot or without
  public static func ask(_ text: String) throws(JobFactsError) -> JobFacts {
    guard let installation = Installation.current else {
      throw .failed("ask Slurm for job '\(printable(text))': \(Installation.absence)")
    }
    let jobs = Program(
      installation.jobs, ["show", text], environment: Process.environment())
    let result: ProgramResult
    do throws(SystemError) { result = try jobs.capture(milliseconds: patience * 1000) } catch {
      let advice = error.code == ENOENT ? ": is Spunnel installed as a whole?" : ""
      throw .failed("ask Slurm for job '\(printable(text))': \(error)\(advice)")
    }
    if result.isLate {
      throw .failed(
        "ask Slurm for job '\(printable(text))': spunnel-jobs did not answer within \(patience) s: see "
          + "whether slurmctld answers, with scontrol ping, and whether this host is overloaded")
    }
    if result.status == usageStatus { throw .malformed(words(of: result.lastLine)) }
    if result.status == missingStatus { throw .missing(words(of: result.lastLine)) }
    if !result.succeeded { throw .failed(words(of: result.lastLine)) }
    guard let facts = JobFacts(result.output) else {
      throw .failed(
        "ask Slurm for job '\(printable(text))': spunnel-jobs said "
          + "'\(printable(result.lastLine))': is Spunnel installed as a whole?")
    }
    return facts
  }

  /// Seconds for an answer: Slurm's library gives up earlier where slurmctld is away.
  private static let patience = 30
  /// How the helper ends when the words name no job.
  private static let usageStatus = 2
  /// How it ends when Slurm has no such job, or the step does not run.
  private static let missingStatus = 3

  /// The helper's line under the name of the command that was typed.
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
    // An array as a whole has no state.
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

/// Why Slurm told nothing about a job, in one line.
public enum JobFactsError: Error, Equatable, Sendable {
  /// The words name no job.
  case malformed(String)
  /// Slurm has no such job now, or the step does not run.
  case missing(String)
  /// Slurm does not answer, or could not be asked.
  case failed(String)
}
