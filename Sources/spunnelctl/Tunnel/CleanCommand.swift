// `spunnelctl clean`: removes records that no keeper holds.

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

enum CleanCommand {
  static let spec = CommandSpec(
    "clean", "Remove what crashed and failed tunnels left on this host.",
    options: [Output.json, StateOption.option],
    details: """
      Tunnels that are alive are not touched. What crashed tunnels left, the next srun --tunnel
      removes by itself. What failed tunnels left goes with the job.
      """,
    examples: [.init("spunnelctl clean", "Remove it, and say what it was.")], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let option = try StateOption(call)
    let failed = try liveTunnels(in: option.stateDirectory)
      .filter { $0.state == .failed }
    let ended = Closing(failed, option.stateDirectory)
    if let failure = ended.failure { throw failure }
    var swept = ended.closed.map(\.step)
    do throws(RecordError) {
      swept += try StateDirectory.sweep(in: option.stateDirectory, user: getuid())
    } catch { throw .failure("clean: \(error)") }
    let lines = swept.map { "removed the record of job \($0.job), step \($0.stepLabel)" }
    try Output(call).tell(
      StepList(
        "removed", swept.map { ($0, nil, nil) },
        text: lines.isEmpty ? "nothing to clean" : lines.joined(separator: "\n")))
    return .success
  }
}
