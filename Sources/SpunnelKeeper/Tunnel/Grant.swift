// What somebody has asked a tunnel for, and what became of it.

import SpunnelTunnel

/// Forwards that were asked for together.
final class Grant {
  /// With the ports that were chosen for it, so that they stay the same when the job starts again.
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
  /// What a request names, by the submit end as it was typed or as it came out.
  ///
  /// - Parameter facts: of the step; without nodes while the job has not started
  /// - Returns: the routes that it names, what they were asked for as, and the spec without them;
  ///   `nil` when it names none
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
    // One of those to all nodes was asked for in no words of its own.
    if meant.isEmpty { meant = routes.flatMap { $0.forward.request } }
    return (routes, meant, TunnelSpec(forwards: rest))
  }
}

extension Forward {
  /// As one would ask for it.
  fileprivate var request: [ForwardRequest] { (try? TunnelSpec(description))?.forwards ?? [] }
}

extension RequestedEnd {
  /// Whether an end that came out is this one, as it was typed: a path with nothing left to fill in.
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
  /// Whether SOCKS clients come in here, rather than go out.
  var isSocksEntrance: Bool { forward.kind == .dynamic && forward.connect == .free }
}
