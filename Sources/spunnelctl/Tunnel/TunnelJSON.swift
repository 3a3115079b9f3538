// A tunnel as JSON; docs/status.md describes the keys.

import SpunnelCLI
import SpunnelTunnel

extension RecordView {
  /// - Parameter user: the login name of the owner
  func json(user: String) -> JSON {
    JSON([
      "job": .number(Int(step.job)), "step": .string(step.stepLabel), "user": .string(user),
      "node": .string(nodes.first?.description),
      "nodes": host.map { .strings($0.nodes.map(\.description)) },
      "forwards": .array(
        (host?.forwards ?? []).enumerated().map { index, forward in
          forward.json(status.far.indices.contains(index) ? status.far[index] : .unknown)
        }),
      "waiting": host.flatMap {
        $0.waiting.isEmpty ? nil : .strings($0.waiting.flatMap(\.forwards).map(\.description))
      },
      "failed": host.flatMap {
        $0.failed.isEmpty ? nil : .strings($0.failed.map(\.description))
      },
      "state": .string(state?.rawValue),
      "reason": status.reasons.isEmpty ? nil : .string(status.reasons.joined(separator: "; ")),
      "since": time(status.since), "started": time(status.started),
      "connections": JSON([
        "open": .number(status.connections), "accepted": .number(status.accepted),
        "refused": .number(status.refused),
      ]),
      "bytes": JSON(["sent": .number(status.sent), "received": .number(status.received)]),
      "keeper": status.keeper == 0 ? nil : .number(status.keeper),
      "ssh": status.ssh == 0 ? nil : .number(status.ssh),
      "transport": .string(status.transport?.rawValue), "detour": .string(status.detour),
    ])
  }

  private func time(_ milliseconds: Int) -> JSON? {
    milliseconds == 0 ? nil : .string(timestamp(milliseconds))
  }
}

extension Forward {
  /// - Parameter far: the state of the far end; `nil` leaves it out
  func json(_ far: FarEnd? = nil) -> JSON {
    JSON([
      "kind": .string(kind.rawValue), "node": .string(node.description),
      "submit": .number(submit.port?.number), "submitPath": .string(submit.path),
      "exec": .number(exec.port?.number), "execPath": .string(exec.path),
      "host": host.isLocal ? nil : .string(host.description), "far": .string(far?.rawValue),
    ])
  }
}
