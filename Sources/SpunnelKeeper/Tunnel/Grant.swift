// Forwards that a command or srun requested from a tunnel, and their outcome.

import SpunnelTunnel

/// Forwards that were requested together.
final class Grant {
  /// The request. Chosen ports are filled in, so that they stay the same when the job starts again.
  var spec: TunnelSpec
  var routes: [Route] = []
  var patience: Int?
  let report: (KeeperReport) -> Void
  var unopened = 0

  init(_ spec: TunnelSpec, patience: Int?, report: @escaping (KeeperReport) -> Void) {
    self.spec = spec
    self.patience = patience
    self.report = report
  }
}

extension Grant {
  /// Finds the forwards that a request names, by the submit end as it was typed or as it was
  /// chosen.
  ///
  /// - Parameter facts: of the step; without nodes while the job has not started
  /// - Returns: the routes that the request names, the requests they came from, and the spec
  ///   without these; `nil` if it names none
  func match(
    _ request: ForwardRequest, facts: StepFacts
  ) -> (routes: [Route], named: [ForwardRequest], rest: TunnelSpec)? {
    let isRemote = request.kind == .remote
    var named = Set<Endpoint>()
    var (meant, rest): ([ForwardRequest], [ForwardRequest]) = ([], [])
    for entry in spec.forwards {
      let ends = facts.nodes.isEmpty ? [] : (try? entry.listens(facts)) ?? []
      let isMeant =
        (entry.kind == .remote) == isRemote
        && (entry.listen == request.listen && request.listen != .any
          || ends.contains { request.listen.isTyped($0) })
      if isMeant {
        named.formUnion(ends)
        meant.append(entry)
      } else {
        rest.append(entry)
      }
    }
    let routes = routes.filter { route in
      (route.forward.kind == .remote) == isRemote
        && (named.contains(route.forward.listen) && route.forward.listen != .free
          || request.listen.isTyped(route.forward.listen))
    }
    if routes.isEmpty && meant.isEmpty { return nil }
    // A single forward out of a request for all nodes has no request of its own.
    if meant.isEmpty { meant = routes.flatMap { $0.forward.request } }
    return (routes, meant, TunnelSpec(forwards: rest))
  }
}

extension Forward {
  /// A request that would give this forward.
  fileprivate var request: [ForwardRequest] { (try? TunnelSpec(description))?.forwards ?? [] }
}

extension RequestedEnd {
  /// Whether an actual end is this requested one, as it was typed. A path matches only if it has no
  /// pattern to fill in.
  fileprivate func isTyped(_ end: Endpoint) -> Bool {
    switch (self, end) {
    case (.port(let requested), .port(let port)): requested == port
    case (.path(let requested), .path(let path)): requested.description == path
    case (.any, .free): true
    default: false
    }
  }
}

extension Route {
  /// Whether SOCKS clients connect here; `false` for routes to services that they named.
  var isSocksEntrance: Bool { forward.kind == .dynamic && forward.connect == .free }
}
