// spunnelctl clean: removes the records that no keeper holds any more.

import Glibc
import SpunnelOutput
import SpunnelSystem
import SpunnelTunnel

enum CleanCommand: Command {
  static let name = "clean"
  static let synopsis = "[--json] [--state-dir DIR]"
  static let summary = "Remove what crashed and failed tunnels left on this host."
  static let details = """
      \(Output.jsonHelp)
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    Tunnels that are alive are not touched. What crashed ones left the next srun --tunnel removes by
    itself, and what failed ones left goes with the job.
    """

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    var rest = option.rest
    let output = Output(taking: &rest)
    if let unknown = rest.first { throw .usage("clean: '\(printable(unknown))' is no option") }
    let failed = try liveTunnels(in: option.stateDirectory)
      .filter { $0.state == .failed }
    let ended = Closing(failed, option.stateDirectory)
    if let failure = ended.failure { throw failure }
    var swept = ended.closed.map(\.step)
    do throws(RecordError) {
      swept += try StateDirectory.find(in: option.stateDirectory, user: getuid())?.sweep() ?? []
    } catch { throw .failure("clean: \(error)") }
    let lines = swept.map { "removed the record of job \($0.job), step \($0.stepLabel)" }
    output.tell(
      StepList(
        "removed", swept.map { ($0, nil, nil) },
        text: lines.isEmpty ? "nothing to clean" : lines.joined(separator: "\n")))
  }
}
