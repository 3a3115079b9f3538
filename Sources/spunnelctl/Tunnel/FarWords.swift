// The state of far ends, in a few words.

import SpunnelCLI
import SpunnelTunnel

extension FarEnd {
  /// The state, for people.
  var words: String {
    switch self {
    case .unknown: "not seen yet"
    case .listening: "listening"
    case .refused: "nothing listens"
    case .elsewhere: "not on localhost"
    case .denied: "sshd forbids it"
    case .unreached: "not reached"
    }
  }
}

extension RecordView {
  /// The forwards with the state of their far ends. The state is `nil` for a SOCKS proxy, which
  /// leads anywhere, and for a remote forward, which leads to this host.
  var ways: [(forward: Forward, far: FarEnd?)] {
    (host?.forwards ?? []).enumerated().map { index, forward in
      if forward.kind != .local { return (forward, nil) }
      return (forward, status.far.indices.contains(index) ? status.far[index] : .unknown)
    }
  }

  /// The state of all far ends: one phrase if it is the same for all, otherwise each trouble with
  /// its ends.
  var service: String {
    let ways = ways.filter { $0.far != nil }
    guard state == .up, let first = ways.first?.far else { return "-" }
    if ways.allSatisfy({ $0.far == first }) { return first.words }
    let isOneNode = nodes.count <= 1
    return [FarEnd.refused, .elsewhere, .denied, .unreached, .unknown].compactMap { far in
      let ends = ways.filter { $0.far == far }.map { end(of: $0.forward, isOneNode) }
      return ends.isEmpty ? nil : "\(far.words): \(ends.joined(separator: ","))"
    }
    .joined(separator: "; ")
  }

  private func end(of forward: Forward, _ isOneNode: Bool) -> String {
    forward.host.isLocal && isOneNode ? "\(forward.exec)" : forward.farEnd
  }
}
