// Tunnels that something was done to: closed, or removed.

import SpunnelCLI
import SpunnelSlurm
import SpunnelTunnel

/// What close and clean tell.
struct StepList: Report {
  /// The array's key: `closed`, `removed`.
  private let key: String
  private let entries: [Entry]
  let text: String

  /// One tunnel: whose it is, where that is to be told; with a spec, only these forwards of it.
  typealias Entry = (step: StepName, user: String?, spec: TunnelSpec?)

  /// - Parameter text: the same for people
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
