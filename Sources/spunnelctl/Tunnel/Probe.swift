// `status --probe`: makes the keepers check, all at once, whether anything listens at the far ends.

import SpunnelCLI
import SpunnelTunnel

enum Probe {
  /// Milliseconds for all keepers of one user. A service that is slow to accept takes a second.
  private static let patience = 10_000

  /// Asks the keepers and waits for their answers. The results are in the records.
  ///
  /// - Returns: one line for each keeper that did not answer
  static func run(_ views: [RecordView], in stateDirectory: String) -> [String] {
    var problems: [String] = []
    for tunnels in views.filter(\.isHeld).byOwner {
      let answers = KeeperSurvey.ask(
        .probe, of: tunnels, in: stateDirectory, milliseconds: patience)
      for (tunnel, answer) in zip(tunnels, answers) {
        switch answer {
        case .failure(let error): problems.append("probe \(tunnel.step.words): \(error)")
        case .silence: problems.append("probe \(tunnel.step.words): its keeper gave no answer")
        // A tunnel that has ended meanwhile has no far end.
        case .report, .none: continue
        }
      }
    }
    return problems
  }
}
