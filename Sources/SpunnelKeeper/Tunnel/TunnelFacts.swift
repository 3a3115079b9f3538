// The state of a tunnel in the terms of its record.

import SpunnelTunnel

extension Tunnel {
  /// Where the tunnel leads.
  ///
  /// - Parameter failures: the forwards that could not be opened
  func hostFile(failed failures: Failures) -> HostFile {
    HostFile(
      nodes: nodes, forwards: routes.map(\.forward),
      waiting: grants.filter(\.routes.isEmpty).map(\.spec), failed: failures.specs)
  }

  /// Fills in the connection, the counters, and what is known about the far ends.
  func count(_ status: inout Status) {
    status.ssh = Int(process ?? 0)
    (status.transport, status.detour) = (transport, detour)
    status.connections = relay.open
    (status.accepted, status.refused) = (relay.accepted, relay.refused)
    (status.sent, status.received) = relay.bytes
    status.far = routes.map(\.far)
    status.spoken = routes.map(\.spoken)
  }
}
