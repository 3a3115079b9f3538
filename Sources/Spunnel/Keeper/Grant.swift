// What somebody has asked a tunnel for, and what became of it.

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
  /// - Returns: the routes that it names and the spec without them; `nil` when it names none
  func match(
    _ request: ForwardRequest, facts: StepFacts
  ) -> (routes: [Route], rest: TunnelSpec)? {
    let isRemote = request.kind == .remote
    var named = Set<Endpoint>()
    var rest: [ForwardRequest] = []
    for entry in spec.forwards {
      let ends = facts.nodes.isEmpty ? [] : (try? entry.listens(facts)) ?? []
      let isMeant =
        (entry.kind == .remote) == isRemote
        && (entry.listen == request.listen && request.listen != .any
          || ends.contains { "\($0)" == "\(request.listen)" })
      if isMeant { named.formUnion(ends) } else { rest.append(entry) }
    }
    let routes = routes.filter { route in
      (route.forward.kind == .remote) == isRemote
        && (named.contains(route.forward.listen) && route.forward.listen != .free
          || "\(route.forward.listen)" == "\(request.listen)")
    }
    if routes.isEmpty && rest.count == spec.forwards.count { return nil }
    return (routes, TunnelSpec(forwards: rest))
  }
}

extension Route {
  /// Whether SOCKS clients come in here, rather than go out.
  var isSocksEntrance: Bool { forward.kind == .dynamic && forward.connect == .free }
}
