// spunnelctl close: ends tunnels whose jobs go on.

import Glibc
import Spunnel
import SpunnelOutput
import SpunnelSystem

enum CloseCommand: Command {
  static let name = "close"
  static let synopsis = "JOB[.STEP]… | JOB[.STEP] SPEC… | --all [--json] [--state-dir DIR]"
  static let summary = "Close tunnels before their jobs end; the jobs go on."
  static let details = """
      --all             every tunnel of yours on this host
      \(Output.jsonHelp)
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    With a SPEC, as in 12 8001:8000, only the forwards that listen there are closed. Open
    connections are cut, and the submit ports are free when the command returns.
    """
  /// Milliseconds that a keeper has for tearing down.
  private static let patience = 5000

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    var rest = option.rest
    let output = Output(taking: &rest)
    if let unknown = rest.first(where: { $0.hasPrefix("-") && $0 != "--all" }) {
      throw .usage("close: '\(printable(unknown))' is no option")
    }
    if let spec = try spec(rest) {
      return try close(spec, of: try TunnelArgument(rest[0]), option.stateDirectory, output)
    }
    try close(try meant(rest, option.stateDirectory).map(\.step), option.stateDirectory, output)
  }

  /// What was closed is told also when something else could not be.
  private static func close(
    _ steps: [StepName], _ directory: String, _ output: Output
  ) throws(CommandError) {
    var closed: [StepName] = []
    var failure: CommandError?
    do throws(CommandError) {
      for step in steps { try request(step, directory) }
      for step in steps {
        try awaitEnd(step, directory)
        closed.append(step)
      }
    } catch { failure = error }
    let lines = closed.map { "closed the tunnel of job \($0.job), step \($0.stepLabel)" }
    output.tell(
      StepList(
        "closed", closed.map { ($0, nil) },
        text: steps.isEmpty
          ? "no tunnels of \(Host.userName) on \(Host.name)" : lines.joined(separator: "\n")))
    if let failure { throw failure }
  }

  /// What stands behind the job, when it is no other job: forwards have a colon.
  private static func spec(_ words: [String]) throws(CommandError) -> TunnelSpec? {
    let specs = words.dropFirst()
    guard specs.contains(where: { $0.contains(":") }) else { return nil }
    do throws(SpecError) { return try TunnelSpec(specs.joined(separator: ",")) } catch {
      throw .usage("close: \(error)")
    }
  }

  private static func close(
    _ spec: TunnelSpec, of job: TunnelArgument, _ directory: String, _ output: Output
  ) throws(CommandError) {
    var refusal: String?
    for step in try job.tunnels(in: directory).map(\.step) {
      do throws(RecordError) {
        var connection = try KeeperConnection.ask(
          .close(spec), of: step, in: directory, user: getuid())
        switch connection?.next(milliseconds: patience) {
        case .done?:
          let text = "closed \(spec) of job \(step.job), step \(step.stepLabel)"
          return output.tell(StepList("closed", [(step, spec)], text: text))
        case .failed(let reason)?: refusal = reason
        // It ended meanwhile: nothing listens there any more.
        default: continue
        }
      } catch { throw .failure("close: \(error)") }
    }
    if let refusal { throw .failure("close: \(refusal): see spunnelctl status") }
  }

  private static func meant(
    _ words: [String], _ directory: String
  ) throws(CommandError) -> [RecordView] {
    if words == ["--all"] { return try liveTunnels(in: directory) }
    if words.isEmpty || words.contains("--all") {
      throw .usage("close: name jobs, as in spunnelctl close 12, or --all alone")
    }
    var found: [RecordView] = []
    for word in words {
      found += try TunnelArgument(word).tunnels(in: directory)
        .filter { !found.contains($0) }
    }
    return found
  }

  static func request(_ step: StepName, _ directory: String) throws(CommandError) {
    do throws(RecordError) {
      // One that ended in the meantime is what was wanted.
      _ = try StateDirectory.find(in: directory, user: getuid())?.requestExit(step)
    } catch { throw .failure("close the tunnel of step \(step): \(error)") }
  }

  static func awaitEnd(_ step: StepName, _ directory: String) throws(CommandError) {
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
