// The ports of a batch job that its spec leaves open. They are chosen before the job is submitted, because its
// environment is made then.

import SpunnelSlurm
import SpunnelTunnel

/// Chooses ports, and holds those of this host.
struct ChosenPorts {
  /// Whether jobs may run on this very host: one number cannot lead to itself there.
  let isNode: Bool
  private(set) var sockets: [SubmitSocket] = []
  /// Exec ports that are chosen, and submit ports: the two are on one host where `isNode`.
  private var taken: Set<Port> = []

  init(isNode: Bool) { self.isNode = isNode }

  /// The same forwards with a port wherever one may be chosen now. Of a forward to every node it is not known yet
  /// how many it wants.
  mutating func fill(_ spec: TunnelSpec) throws(SubmitError) -> TunnelSpec {
    taken.formUnion(spec.ports)
    var forwards: [ForwardRequest] = []
    for request in spec.forwards { forwards.append(try fill(request)) }
    return TunnelSpec(forwards: forwards)
  }

  private mutating func fill(_ request: ForwardRequest) throws(SubmitError) -> ForwardRequest {
    guard request.kind != .remote, request.host != .all else { return request }
    var request = request
    if request.listen == .any {
      let (port, bound) = try SubmitSocket.bindFree()
      sockets += bound
      request = request.listening(on: port)
    }
    if request.kind == .local, request.connect == .any {
      request = request.connecting(to: try execPort(of: request))
    }
    return request
  }

  /// The number of the submit end: it is right on both hosts then. On one host it must be another one.
  private mutating func execPort(of request: ForwardRequest) throws(SubmitError) -> Port {
    if !isNode, case .port(let port) = request.listen { return port }
    while true {
      // Free at this moment; nobody holds it on the node either.
      let (port, bound) = try SubmitSocket.bindFree()
      for socket in bound { socket.end() }
      if taken.insert(port).inserted { return port }
    }
  }
}

extension TunnelSpec {
  /// What a batch job is told of its tunnel, as it may be typed. A port that is chosen when the job runs is 0, and
  /// `%j` in a path is the job's number.
  func environment(typed: TunnelSpec) -> [(name: String, value: String)] {
    let chosen = zip(typed.forwards, forwards)
      .filter { $0.0.kind == .local && $0.0.connect == .any }.compactMap { $0.1.asForward }
    let all = forwards.compactMap(\.asForward)
    return [("SPUNNEL_FORWARDS", description)]
      + CommandTunnel.variables(all, chosen: chosen)
  }
}

extension RequestedEnd {
  fileprivate var port: Port? { if case .port(let port) = self { port } else { nil } }
}

extension ForwardRequest {
  /// For what is told of its ends alone.
  fileprivate var asForward: Forward? {
    guard kind == .local, let node = NodeName("job") else { return nil }
    return Forward(
      kind, node: node, listen: listen.port.map { .port($0) } ?? .free, host: .localhost,
      connect: connect.port.map { .port($0) } ?? .free)
  }
}
