// The ports that the spec of a batch job leaves open. They are chosen before the job is submitted,
// because sbatch sends the job's environment at that time.

import SpunnelSlurm
import SpunnelTunnel

/// Chooses ports, and holds the submit ports on this host.
struct ChosenPorts {
  /// Whether jobs may run on this host. Then the exec port must differ from the submit port.
  let isNode: Bool
  private(set) var sockets: [SubmitSocket] = []
  /// The chosen exec ports and the submit ports. If `isNode`, both may be on this host.
  private var taken: Set<Port> = []

  init(isNode: Bool) { self.isNode = isNode }

  /// Fills in the ports that can be chosen now. A forward to every node keeps its open ports,
  /// because their number is not known yet.
  mutating func fill(_ spec: TunnelSpec) throws(SubmitError) -> TunnelSpec {
    taken.formUnion(spec.ports)
    var forwards: [ForwardRequest] = []
    for request in spec.forwards { forwards.append(try fill(request)) }
    return TunnelSpec(forwards: forwards)
  }

  private mutating func fill(_ request: ForwardRequest) throws(SubmitError) -> ForwardRequest {
    if request.isForAll { return request }
    if request.kind == .remote {
      return request.listen == .any ? request.listening(on: try freePort()) : request
    }
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

  /// Chooses an exec port. The number of the submit port is preferred, because it is then right on
  /// both hosts. If jobs may run on this host, another number is chosen.
  private mutating func execPort(of request: ForwardRequest) throws(SubmitError) -> Port {
    if !isNode, case .port(let port) = request.listen { return port }
    return try freePort()
  }

  private mutating func freePort() throws(SubmitError) -> Port {
    while true {
      // The port is free here now. Nothing reserves it on the node.
      let (port, bound) = try SubmitSocket.bindFree()
      for socket in bound { socket.end() }
      if taken.insert(port).inserted { return port }
    }
  }
}

extension TunnelSpec {
  /// The variables that describe its tunnel to a batch job. A port that is chosen only when the job
  /// runs is 0. A path may have `%j` for the job's number.
  ///
  /// - Parameter typed: the spec before ports were chosen
  func environment(typed: TunnelSpec) -> [(name: String, value: String)] {
    let chosen = zip(typed.forwards, forwards)
      .filter { $0.0.wantsExecPort }.compactMap { $0.1.asForward }
    let all = forwards.compactMap(\.asForward)
    return [("SPUNNEL_FORWARDS", description)]
      + CommandTunnel.variables(all, chosen: chosen)
  }
}

extension RequestedEnd {
  fileprivate var port: Port? { if case .port(let port) = self { port } else { nil } }
}

extension ForwardRequest {
  /// A forward with the request's ends, for the variables only: the node is not known yet.
  fileprivate var asForward: Forward? {
    guard kind != .dynamic, let node = NodeName("job") else { return nil }
    return Forward(
      kind, node: node, listen: listen.port.map { .port($0) } ?? .free, host: .localhost,
      connect: connect.port.map { .port($0) } ?? .free)
  }
}
