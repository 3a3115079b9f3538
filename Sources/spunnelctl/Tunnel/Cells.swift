// The cells of a tunnel's line in the table.

import SpunnelCLI
import SpunnelSlurm
import SpunnelTunnel

extension RecordView {
  /// The nodes of the forwards, without repetition; the step's first node when there is no forward.
  var nodes: [NodeName] {
    guard let host else { return [] }
    var seen: Set<NodeName> = []
    let nodes = host.forwards.map(\.node).filter { seen.insert($0).inserted }
    return nodes.isEmpty ? Array(host.nodes.prefix(1)) : nodes
  }

  var nodeCell: String {
    guard host != nil else { return "?" }
    let most = 3
    let names = nodes.prefix(most).map(\.description) + (nodes.count > most ? ["…"] : [])
    return names.isEmpty ? "-" : names.joined(separator: ",")
  }

  /// The forwards as a user would type them, then specs that wait for the job. A failed tunnel also
  /// shows its failed specs.
  var forwardsCell: String {
    guard let host else { return "?" }
    let isAlone = nodes.count == 1
    let forwards = host.forwards.map { isAlone ? $0.withoutNode : $0.description }
    let rest = host.waiting + (state == .failed ? host.failed : [])
    let all = forwards + rest.map(\.description)
    return all.isEmpty ? "-" : all.joined(separator: ",")
  }

  var stateCell: String { state?.rawValue ?? "?" }
}

extension Forward {
  /// The forward without its node: `8001:8000`.
  fileprivate var withoutNode: String {
    kind == .local && host.isLocal ? "\(listen):\(connect)" : description
  }
}
