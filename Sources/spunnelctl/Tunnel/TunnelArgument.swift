// The tunnels that a word names: `12` or a job's name for a whole job, `12.0` for one step.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// A job or a step, as Slurm's commands write it.
struct TunnelArgument {
  let text: String
  private let job: UInt32
  private let step: UInt32?

  /// Reads a word. Slurm is asked only for words such as `12_3`, `12+1` and `train`.
  ///
  /// - Parameters:
  ///   - text: the word
  ///   - call: the command, for errors
  ///   - directory: the state directory; of several jobs with one name, those with a tunnel count
  init(_ text: String, in call: Call, directory: String) throws(CommandError) {
    if let argument = TunnelArgument(ifJob: text) {
      self = argument
      return
    }
    try TunnelArgument.check(text, in: call)
    var number = text
    if !TunnelArgument.isNumber(text) {
      let tunnels = (try? liveTunnels(in: directory)) ?? []
      number = try JobNames.number(of: text, in: call, preferred: Set(tunnels.map(\.step.job)))
    }
    if let argument = TunnelArgument(ifJob: number) {
      self = argument
      return
    }
    let found = try JobFacts.find(number).step
    self.text = number
    job = found.job
    step = number.contains(".") ? found.step : nil
  }

  /// - Returns: `nil` for a word that only Slurm can resolve, such as `12_3`
  init?(ifJob text: String) {
    self.text = text
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard let job = StepName("\(parts[0]).0")?.job, parts.count <= 2 else { return nil }
    self.job = job
    if parts.count == 1 {
      step = nil
    } else {
      guard let named = StepName(job: job, label: parts[1]) else { return nil }
      step = named.step
    }
  }

  /// Refuses a word that cannot name a job.
  static func check(_ text: String, in call: Call) throws(CommandError) {
    if isNumber(text) { return }
    if text.contains(":") || text.hasPrefix("/") {
      throw .usage(
        "\(call.name): '\(printable(text))' is no job: name the job first, as in 12 8001:8000")
    }
    if text.allSatisfy(\.isASCIIDigit) || printable(text) != text {
      throw .usage(
        "\(call.name): '\(printable(text))' is no job: write its number or its name, or JOB.STEP, as in "
          + "12, train or 12.0")
    }
  }

  /// Whether a word can only be a job id: `12`, `12.0`, `12_3` or `12+1`.
  static func isNumber(_ text: String) -> Bool {
    if TunnelArgument(ifJob: text) != nil { return true }
    let job = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)[0]
    let parts = job.split(omittingEmptySubsequences: false) { $0 == "_" || $0 == "+" }
    return parts.count == 2
      && parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isASCIIDigit) }
  }

  /// Whether the word names one step rather than a whole job.
  var namesStep: Bool { step != nil }

  func matches(_ name: StepName) -> Bool { name.job == job && (step ?? name.step) == name.step }

  /// The live tunnels that the word names, at least one.
  ///
  /// - Throws: why there is none
  func tunnels(in stateDirectory: String) throws(CommandError) -> [RecordView] {
    let found = try reachableTunnels(in: stateDirectory, of: [self])
    if found.isEmpty { throw absence }
    return found
  }

  /// The error for a job without a tunnel here, with the reason as Slurm knows it.
  var absence: CommandError {
    .failure("no tunnel of job \(text) on \(Host.name): \(JobAbsence.reason(text))")
  }
}

extension Character {
  fileprivate var isASCIIDigit: Bool { isASCII && isNumber }
}

/// The user's tunnels on this host that a keeper holds.
func liveTunnels(in stateDirectory: String) throws(CommandError) -> [RecordView] {
  do throws(RecordError) {
    return try RecordView.all(in: stateDirectory, user: getuid()).filter(\.isHeld)
  } catch { throw .failure("look at the tunnels: \(error)") }
}

/// The tunnels of some jobs that a keeper holds: the user's own, or for root those of every user.
func reachableTunnels(
  in stateDirectory: String, of jobs: [TunnelArgument]
) throws(CommandError) -> [RecordView] {
  func isMeant(_ step: StepName) -> Bool { jobs.contains { $0.matches(step) } }
  if getuid() != 0 { return try liveTunnels(in: stateDirectory).filter { isMeant($0.step) } }
  do throws(RecordError) {
    return try AllRecords.find(in: stateDirectory, where: isMeant).views.filter(\.isHeld)
  } catch { throw .failure("look at the tunnels: \(error)") }
}

extension JobFacts {
  /// Asks Slurm for a job that the user typed.
  static func find(_ text: String) throws(CommandError) -> JobFacts {
    let late = { remark("spunnelctl: waiting for Slurm's answer on job \(printable(text))") }
    do throws(JobFactsError) { return try ask(text, whenLate: late) } catch {
      switch error {
      case .malformed(let line): throw .usage(line)
      case .failed(let line), .missing(let line): throw .failure(line)
      }
    }
  }
}
