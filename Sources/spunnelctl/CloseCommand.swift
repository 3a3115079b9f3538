// spunnelctl close: ends tunnels whose jobs go on.

import Glibc
import Spunnel
import SpunnelSystem

enum CloseCommand: Command {
  static let name = "close"
  static let synopsis = "JOB[.STEP]… | --all [--state-dir DIR]"
  static let summary = "Close tunnels before their jobs end; the jobs go on."
  static let details = """
      --all             every tunnel of yours on this host
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    Open connections are cut, and the submit ports are free when the command returns.
    """
  /// Milliseconds that a keeper has for tearing down.
  private static let patience = 5000

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    if let unknown = option.rest.first(where: { $0.hasPrefix("-") && $0 != "--all" }) {
      throw .usage("close: '\(printable(unknown))' is no option")
    }
    let steps = try meant(option).map(\.step)
    if steps.isEmpty { return say("no tunnels of \(Host.userName) on \(Host.name)") }
    for step in steps { try request(step, option.stateDirectory) }
    for step in steps {
      try awaitEnd(step, option.stateDirectory)
      say("closed the tunnel of job \(step.job), step \(step.stepLabel)")
    }
  }

  private static func meant(_ option: StateOption) throws(CommandError) -> [RecordView] {
    if option.rest == ["--all"] { return try liveTunnels(in: option.stateDirectory) }
    if option.rest.isEmpty || option.rest.contains("--all") {
      throw .usage("close: name jobs, as in spunnelctl close 12, or --all alone")
    }
    var found: [RecordView] = []
    for word in option.rest {
      found += try TunnelArgument(word).tunnels(in: option.stateDirectory)
        .filter { !found.contains($0) }
    }
    return found
  }

  private static func request(_ step: StepName, _ directory: String) throws(CommandError) {
    do throws(RecordError) {
      // One that ended in the meantime is what was wanted.
      _ = try StateDirectory.find(in: directory, user: getuid())?.requestExit(step)
    } catch { throw .failure("close the tunnel of step \(step): \(error)") }
  }

  private static func awaitEnd(_ step: StepName, _ directory: String) throws(CommandError) {
    let deadline = Clock.milliseconds() + patience
    while try liveTunnels(in: directory).contains(where: { $0.step == step }) {
      if Clock.milliseconds() > deadline {
        throw .failure(
          "close the tunnel of step \(step): its keeper does not end: see spunnelctl status")
      }
      usleep(10_000)
    }
  }
}
