// What a tunnel is like now, in the words of its record.

import SpunnelTunnel

extension Tunnel {
  /// Where it leads.
  ///
  /// - Parameter failures: what was asked for and could not be had
  func hostFile(failed failures: Failures) -> HostFile {
    HostFile(
      nodes: nodes, forwards: routes.map(\.forward),
      waiting: grants.filter(\.routes.isEmpty).map(\.spec), failed: failures.specs)
  }

  /// Fills in how it is connected, what was counted and what is known of the far ends.
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
