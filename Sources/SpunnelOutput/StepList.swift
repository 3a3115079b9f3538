// Tunnels that something was done to: closed, or removed.

import Spunnel

/// What close and clean tell.
public struct StepList: Report {
  /// The array's key: `closed`, `removed`.
  private let key: String
  private let entries: [(step: StepName, spec: TunnelSpec?)]
  public let text: String

  /// - Parameters:
  ///   - entries: which tunnels; with a spec, only these forwards of them
  ///   - text: the same for people
  public init(_ key: String, _ entries: [(step: StepName, spec: TunnelSpec?)], text: String) {
    self.key = key
    self.entries = entries
    self.text = text
  }

  public var object: JSON {
    JSON([
      key: .array(
        entries.map { step, spec in
          JSON([
            "job": .number(Int(step.job)), "step": .string(step.stepLabel),
            "forwards": spec.map { .strings($0.forwards.map(\.description)) },
          ])
        })
    ])
  }
}
