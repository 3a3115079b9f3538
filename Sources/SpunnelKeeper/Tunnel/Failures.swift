// Forwards that a keeper could not open, kept for a user who looks later: no client was connected
// when they failed.

import SpunnelSystem
import SpunnelTunnel

struct Failures {
  /// The most different reasons that are kept. The log has the rest.
  private static let most = 16

  private var entries: [(forwards: [ForwardRequest], reason: String)] = []

  var isEmpty: Bool { entries.isEmpty }

  /// The failed forwards, each as it was requested.
  var specs: [TunnelSpec] {
    entries.flatMap(\.forwards).map { TunnelSpec(forwards: [$0]) }
  }

  /// The submit ports of the failed forwards.
  var ports: Set<Port> { Set(specs.flatMap(\.ports)) }

  /// One line for each reason.
  var lines: [String] {
    entries.map { entry in
      // The spec is left out if the reason already names it.
      let spec = TunnelSpec(forwards: entry.forwards).description
      return entry.reason.mentions("'\(spec)'") ? entry.reason : "\(spec): \(entry.reason)"
    }
  }

  mutating func add(_ spec: TunnelSpec, _ reason: String) {
    for forward in spec.forwards { remove(forward) }
    if let index = entries.firstIndex(where: { $0.reason == reason }) {
      entries[index].forwards += spec.forwards
    } else if entries.count < Failures.most {
      entries.append((spec.forwards, reason))
    }
  }

  /// Forgets a failure, because the forward is requested again or is no longer wanted.
  ///
  /// - Returns: whether a failed forward had this submit end
  @discardableResult
  mutating func remove(_ request: ForwardRequest) -> Bool {
    let before = entries.flatMap(\.forwards).count
    for index in entries.indices {
      entries[index].forwards.removeAll {
        $0.listen == request.listen && ($0.listen != .any || $0 == request)
          && ($0.kind == .remote) == (request.kind == .remote)
      }
    }
    entries.removeAll(where: \.forwards.isEmpty)
    return entries.flatMap(\.forwards).count < before
  }
}
