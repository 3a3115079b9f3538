// What Slurm knows about a job: spunnel-jobs, the one program of ours that links libslurm, tells.

import Glibc
import Spunnel
import SpunnelSystem

/// A job or a step of one, as `spunnel-jobs show` prints it.
struct JobFacts {
  let step: StepName
  let state: String
  /// For people: `PENDING Resources`.
  let detail: String
  let user: uid_t
  let isArray: Bool

  /// The login name, where this host knows one.
  var owner: String {
    let name = Host.userName(of: user)
    return name == String(user) ? "uid \(user)" : name
  }

  /// - Parameter text: a job as Slurm's commands write it, with a step behind a dot or without
  static func ask(_ text: String) throws(CommandError) -> JobFacts {
    guard let prefix = Installation.prefix else {
      throw .failure("ask Slurm for job '\(printable(text))': \(Installation.absence)")
    }
    let jobs = Program(
      prefix + "/libexec/spunnel/spunnel-jobs", ["show", text],
      environment: Process.environment())
    let result: ProgramResult
    do throws(SystemError) { result = try jobs.capture(milliseconds: 30_000) } catch {
      let advice = error.code == ENOENT ? ": is Spunnel installed as a whole?" : ""
      throw .failure("ask Slurm for job '\(printable(text))': \(error)\(advice)")
    }
    if result.status == ExitStatus.usage.rawValue { throw .usage(words(of: result.lastLine)) }
    if !result.succeeded { throw .failure(words(of: result.lastLine)) }
    guard let facts = JobFacts(result.output) else {
      throw .failure(
        "ask Slurm for job '\(printable(text))': spunnel-jobs said "
          + "'\(printable(result.lastLine))': is Spunnel installed as a whole?")
    }
    return facts
  }

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
  }
}

/// Where Spunnel is installed.
enum Installation {
  /// `/opt/spunnel` of `/opt/spunnel/bin/spunnelctl`.
  static var prefix: String? {
    guard let path = Host.executable, path.hasSuffix("/bin/spunnelctl") else { return nil }
    return String(path.dropLast("/bin/spunnelctl".count))
  }

  /// Why there is no prefix, and what to do.
  static var absence: String {
    guard let path = Host.executable else { return "/proc does not tell where spunnelctl is" }
    return "'\(printable(path))' is in no bin folder of an installed Spunnel: run the installed one"
  }
}
