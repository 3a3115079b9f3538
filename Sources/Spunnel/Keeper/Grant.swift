// What somebody has asked a tunnel for, and what became of it.

/// Forwards that were asked for together.
final class Grant {
  /// With the ports that were chosen for it, so that they stay the same when the job starts again.
  var spec: TunnelSpec
  var routes: [Route] = []
  let patience: Int?
  let report: (KeeperReport) -> Void
  var unopened = 0
  /// Opened before anything of the job could listen: that it was refused says nothing.
  var isEarly: Bool

  init(
    _ spec: TunnelSpec, patience: Int?, isEarly: Bool, report: @escaping (KeeperReport) -> Void
  ) {
    self.isEarly = isEarly
    self.spec = spec
    self.patience = patience
    self.report = report
  }
}

extension Grant {
  /// Whether a request names one of its forwards.
  func closes(_ request: ForwardRequest) -> Bool {
    spec.forwards.contains { $0.listens(where: request) }
      || routes.contains { $0.forward.listens(where: request) }
  }
}

extension Forward {
  /// Whether it listens where a request would: that names it.
  func listens(where request: ForwardRequest) -> Bool {
    guard (kind == .remote) == (request.kind == .remote) else { return false }
    return "\(listen)" == "\(request.listen)"
  }
}

extension ForwardRequest {
  fileprivate func listens(where request: ForwardRequest) -> Bool {
    (kind == .remote) == (request.kind == .remote) && listen == request.listen && listen != .any
  }
}
