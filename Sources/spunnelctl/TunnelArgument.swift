// Which of the user's tunnels a command is about: `12` for all of a job, `12.0` for one step.

import Glibc
import Spunnel
import SpunnelSystem

/// A job or a step, as Slurm's commands write it.
struct TunnelArgument {
  let text: String
  private let job: UInt32
  private let step: UInt32?

  init(_ text: String) throws(CommandError) {
    guard let argument = TunnelArgument(ifJob: text) else {
      throw .usage("'\(printable(text))' is no job: write JOB or JOB.STEP, as in 12 or 12.0")
    }
    self = argument
  }

  /// - Returns: `nil` for what only Slurm can tell, as `12_3`
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

  func matches(_ name: StepName) -> Bool { name.job == job && (step ?? name.step) == name.step }

  /// The tunnels that are meant and alive; at least one.
  func tunnels(in stateDirectory: String) throws(CommandError) -> [RecordView] {
    let found = try liveTunnels(in: stateDirectory).filter { matches($0.step) }
    if found.isEmpty { throw absence }
    return found
  }

  /// That there is none here. Records are each host's own: what another login node has is not seen.
  var absence: CommandError {
    .failure(
      "no tunnel of job \(text) on \(Host.name): log in to the host that has it, by its own name, or "
        + "open one here with spunnelctl open \(text) SPEC")
  }
}

/// All of the user's tunnels on this host that a keeper holds.
func liveTunnels(in stateDirectory: String) throws(CommandError) -> [RecordView] {
  do throws(RecordError) {
    return try RecordView.all(in: stateDirectory, user: getuid())
      .filter { $0.status.state != .stale }
  } catch { throw .failure("look at the tunnels: \(error)") }
}
