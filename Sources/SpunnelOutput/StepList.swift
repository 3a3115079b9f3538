// Tunnels that something was done to: closed, or removed.

import SpunnelSlurm
import SpunnelTunnel

/// What close and clean tell.
public struct StepList: Report {
  /// The array's key: `closed`, `removed`.
  private let key: String
  private let entries: [Entry]
  public let text: String

  /// One tunnel: whose it is, where that is to be told; with a spec, only these forwards of it.
  public typealias Entry = (step: StepName, user: String?, spec: TunnelSpec?)

  /// - Parameter text: the same for people
  public init(_ key: String, _ entries: [Entry], text: String) {
    self.key = key
    self.entries = entries
    self.text = text
  }

  public var object: JSON {
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
