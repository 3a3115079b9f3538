// Whether anything listens at the far ends, in few words.

import SpunnelCLI
import SpunnelTunnel

extension FarEnd {
  /// For people.
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
  /// The forwards with what is known of their far ends; `nil` where there is none to know of: SOCKS
  /// leads anywhere, and the other way round leads here.
  var ways: [(forward: Forward, far: FarEnd?)] {
    (host?.forwards ?? []).enumerated().map { index, forward in
      if forward.kind != .local { return (forward, nil) }
      return (forward, status.far.indices.contains(index) ? status.far[index] : .unknown)
    }
  }

  /// The far ends together: one word when it is the same for all, otherwise where it is not well.
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
