// status --probe: has the keepers find out, all at once, whether anything listens at the far ends.

import SpunnelCLI
import SpunnelTunnel

enum Probe {
  /// Milliseconds that a user's have together: a service that is slow to accept takes one second.
  private static let patience = 10_000

  /// Asks, and waits for the answers; then the records tell.
  ///
  /// - Returns: lines on keepers that gave none
  static func run(_ views: [RecordView], in stateDirectory: String) -> [String] {
    var problems: [String] = []
    for tunnels in views.filter(\.isHeld).byOwner {
      let answers = KeeperSurvey.ask(
        .probe, of: tunnels, in: stateDirectory, milliseconds: patience)
      for (tunnel, answer) in zip(tunnels, answers) {
        switch answer {
        case .failure(let error): problems.append("probe \(tunnel.step.words): \(error)")
        case .silence: problems.append("probe \(tunnel.step.words): its keeper gave no answer")
        // One that ended meanwhile has no far end any more.
        case .report, .none: continue
        }
      }
    }
    return problems
  }
}
