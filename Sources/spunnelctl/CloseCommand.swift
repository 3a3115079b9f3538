// spunnelctl close: ends tunnels whose jobs go on.

import Glibc
import Spunnel
import SpunnelSystem

enum CloseCommand: Command {
  static let name = "close"
  static let synopsis = "JOB[.STEP]… | JOB[.STEP] SPEC… | --all [--state-dir DIR]"
  static let summary = "Close tunnels before their jobs end; the jobs go on."
  static let details = """
      --all             every tunnel of yours on this host
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    With a SPEC, as in 12 8001:8000, only the forwards that listen there are closed. Open connections are cut, and the submit ports are free when the command returns.
    """
  /// Milliseconds that a keeper has for tearing down.
  private static let patience = 5000

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    if let unknown = option.rest.first(where: { $0.hasPrefix("-") && $0 != "--all" }) {
      throw .usage("close: '\(printable(unknown))' is no option")
    }
    if let spec = try spec(option.rest) { return try close(spec, option) }
    let steps = try meant(option).map(\.step)
    if steps.isEmpty { return say("no tunnels of \(Host.userName) on \(Host.name)") }
    for step in steps { try request(step, option.stateDirectory) }
    for step in steps {
      try awaitEnd(step, option.stateDirectory)
      say("closed the tunnel of job \(step.job), step \(step.stepLabel)")
    }
  }

  /// What stands behind the job, when it is no other job: forwards have a colon.
  private static func spec(_ words: [String]) throws(CommandError) -> TunnelSpec? {
    let specs = words.dropFirst()
    guard specs.contains(where: { $0.contains(":") }) else { return nil }
    do throws(SpecError) { return try TunnelSpec(specs.joined(separator: ",")) } catch {
      throw .usage("close: \(error)")
    }
  }

  private static func close(_ spec: TunnelSpec, _ option: StateOption) throws(CommandError) {
    var refusal: String?
    for view in try TunnelArgument(option.rest[0]).tunnels(in: option.stateDirectory) {
      do throws(RecordError) {
        var connection = try KeeperConnection.ask(
          .close(spec), of: view.step, in: option.stateDirectory, user: getuid())
        switch connection?.next(milliseconds: patience) {
        case .done?:
          return say("closed \(spec) of job \(view.step.job), step \(view.step.stepLabel)")
        case .failed(let reason)?: refusal = reason
        // It ended meanwhile: nothing listens there any more.
        default: continue
        }
      } catch { throw .failure("close: \(error)") }
    }
    if let refusal { throw .failure("close: \(refusal): see spunnelctl status") }
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
