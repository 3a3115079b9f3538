// What a keeper was to open and could not, for whoever looks later: nobody listened any more when it
// failed.

import SpunnelSystem
import SpunnelTunnel

struct Failures {
  /// More have the same reason, or their log is the place.
  private static let most = 16

  private var entries: [(forwards: [ForwardRequest], reason: String)] = []

  var isEmpty: Bool { entries.isEmpty }

  /// What failed, each as it was asked for.
  var specs: [TunnelSpec] {
    entries.flatMap(\.forwards).map { TunnelSpec(forwards: [$0]) }
  }

  /// The submit ports of what failed.
  var ports: Set<Port> { Set(specs.flatMap(\.ports)) }

  /// A line for each reason.
  var lines: [String] {
    entries.map { entry in
      // What stands in the reason already need not be there twice.
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

  /// Forgets what somebody asks for anew, or does not want any more.
  ///
  /// - Returns: whether there was something that listens there
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
