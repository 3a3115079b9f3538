// spunnelctl clean: removes the records that no keeper holds any more.

import Glibc
import Spunnel

enum CleanCommand: Command {
  static let name = "clean"
  static let synopsis = "[--state-dir DIR]"
  static let summary = "Remove what crashed tunnels left on this host."
  static let details = """
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    Tunnels that are alive are not touched. The next srun --tunnel does the same by itself.
    """

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    if let unknown = option.rest.first {
      throw .usage("clean: '\(printable(unknown))' is no option")
    }
    do throws(RecordError) {
      guard let state = try StateDirectory.find(in: option.stateDirectory, user: getuid()) else {
        return say("nothing to clean")
      }
      let swept = try state.sweep()
      if swept.isEmpty { return say("nothing to clean") }
      for step in swept { say("removed the record of job \(step.job), step \(step.stepLabel)") }
    } catch { throw .failure("clean: \(error)") }
  }
}
