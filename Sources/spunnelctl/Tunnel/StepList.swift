// A list of tunnels that were closed or removed.

import SpunnelCLI
import SpunnelSlurm
import SpunnelTunnel

/// The result of `spunnelctl close` and `spunnelctl clean`.
struct StepList: Report {
  /// The key of the JSON array: `closed` or `removed`.
  private let key: String
  private let entries: [Entry]
  let text: String

  /// One tunnel: its owner if that matters, and the forwards if only these were closed.
  typealias Entry = (step: StepName, user: String?, spec: TunnelSpec?)

  /// - Parameters:
  ///   - key: the key of the JSON array
  ///   - entries: the tunnels
  ///   - text: the same result for people
  init(_ key: String, _ entries: [Entry], text: String) {
    self.key = key
    self.entries = entries
    self.text = text
  }

  var object: JSON {
    JSON([
      key: .array(
        entries.map { step, user, spec in
          JSON([
            "job": .number(Int(step.job)), "step": .string(step.stepLabel),
            "user": .string(user),
            "forwards": spec.map { .strings($0.forwards.map(\.description)) },
          ])
        })
    ])
  }
}
