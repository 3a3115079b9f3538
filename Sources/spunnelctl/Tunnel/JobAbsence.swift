// Explains why a job has no tunnel on this host: the job is over or unknown, or its tunnel is on
// another host.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem

enum JobAbsence {
  /// The longest wait for one of Slurm's commands, in milliseconds.
  private static let patience = 5000

  /// What Slurm knows of a job, and what the user can do.
  ///
  /// - Parameter job: the job as the user typed it: `12`, `12.0`, `12_3`
  static func reason(_ job: String) -> String {
    do throws(JobFactsError) {
      let late = { remark("spunnelctl: waiting for Slurm's answer on job \(printable(job))") }
      return words(try JobFacts.ask(job, whenLate: late), job, user: getuid())
    } catch {
      switch error {
      case .missing where job.contains("."):
        return "the step does not run: squeue --me --steps lists those that do"
      case .missing: return past(job)
      // Slurm does not answer. Records are per host, so the tunnel may be on another host.
      case .malformed, .failed: return elsewhere(job)
      }
    }
  }

  /// - Parameter user: the uid of the user who asks; root may ask about any job
  static func words(_ facts: JobFacts, _ job: String, user: uid_t) -> String {
    if facts.user != user && user != 0 { return "the job is \(facts.owner)'s, not yours" }
    if facts.state == "over" { return "the job is over (\(facts.detail)), and its tunnel with it" }
    return elsewhere(job)
  }

  private static func elsewhere(_ job: String) -> String {
    "log in to the host that has it, by its own name, or open one here with spunnelctl open \(job) "
      + "8001:8000"
  }

  /// Explains a job that slurmctld does not know, by accounting or by the next job id.
  private static func past(_ job: String) -> String {
    let account = ask(
      "sacct", ["--noheader", "--parsable2", "--allocations", "--format=State,End", "--jobs", job])
    if let account, let end = ended(account) { return end }
    let configuration = ask("scontrol", ["show", "config"])
    return never(job, next: configuration.flatMap { next($0) })
  }

  /// - Parameter answer: the output of sacct: `COMPLETED|2026-11-30T16:52:30`
  static func ended(_ answer: String) -> String? {
    guard let line = answer.split(separator: "\n").first else { return nil }
    let fields = line.split(separator: "|")
    guard fields.count == 2, fields[0].first?.isUppercase == true else { return nil }
    return
      "the job is over (\(printable(fields[0])), at \(printable(fields[1]))), and its tunnel with it"
  }

  /// - Parameter answer: the output of `scontrol show config`, with a line `NEXT_JOB_ID = 57`
  static func next(_ answer: String) -> Int? {
    for line in answer.split(separator: "\n") where line.hasPrefix("NEXT_JOB_ID") {
      return line.split(separator: "=").last.flatMap { wholeNumber(trimmed($0)) }
    }
    return nil
  }

  private static func trimmed(_ text: Substring) -> Substring {
    text.drop { $0 == " " }.prefix { $0 != " " }
  }

  /// - Parameter next: the next job id; `nil` when unknown
  static func never(_ job: String, next: Int?) -> String {
    let number = wholeNumber(job.prefix { $0 != "_" && $0 != "+" && $0 != "." })
    guard let number, let next else {
      return "Slurm has no such job now: it is over for some time, or never was: squeue --me lists "
        + "your jobs"
    }
    return number >= next
      ? "there has never been such a job, as the next one is \(next): squeue --me lists your jobs"
      : "the job ended some time ago, as Slurm has forgotten it"
  }

  private static func ask(_ name: String, _ words: [String]) -> String? {
    guard let path = Program.find(name) else { return nil }
    let program = Program(path, words, environment: Process.environment())
    guard let result = try? program.capture(milliseconds: patience), result.succeeded else {
      return nil
    }
    return result.output
  }
}
