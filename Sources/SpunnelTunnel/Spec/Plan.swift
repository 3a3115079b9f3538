// Turns a spec into forwards once the step's nodes are known.

import SpunnelSlurm
import SpunnelSystem

/// The step that a tunnel leads to.
public struct StepFacts: Equatable, Sendable {
  let step: StepName
  /// The nodes in Slurm's order, at least one.
  public let nodes: [NodeName]
  /// The login name of the tunnel's owner.
  let user: String

  /// - Parameters:
  ///   - step: the step, or a job as a whole
  ///   - nodes: in Slurm's order; empty while the job has not started
  ///   - user: the login name of the tunnel's owner
  public init(step: StepName, nodes: [NodeName], user: String) {
    self.step = step
    self.nodes = nodes
    self.user = user
  }
}

extension TunnelSpec {
  /// The forwards of the spec: one list for each forward that the user typed.
  ///
  /// A port that is still to be chosen is `Endpoint.free`.
  ///
  /// - Parameters:
  ///   - facts: the step and its nodes
  ///   - anywhere: whether a forward may lead to a host outside the step
  /// - Throws: a forward that names a host outside the step, or an end that is listed twice
  public func plan(_ facts: StepFacts, anywhere: Bool) throws(SpecError) -> [[Forward]] {
    let planned = try forwards.map { request throws(SpecError) in
      try request.plan(facts, anywhere: anywhere)
    }
    var taken: Set<Forward.Place> = []
    for forward in planned.joined() {
      guard let place = forward.place, !taken.insert(place).inserted else { continue }
      throw forward.kind == .remote
        ? .execEndTwice(end: "\(forward.listen)") : .submitEndTwice(end: "\(forward.listen)")
    }
    return planned
  }

  /// The same spec with the chosen submit ports filled in. A forward to all nodes stays as it was
  /// typed.
  ///
  /// - Parameter planned: the result of `plan`, with its free submit ports filled in
  public func pinned(to planned: [[Forward]]) -> TunnelSpec {
    TunnelSpec(
      forwards: zip(forwards, planned).map { request, forwards in
        guard !request.isForAll, request.listen == .any,
          case .port(let port)? = forwards.first?.listen
        else { return request }
        return request.listening(on: port)
      })
  }
}

extension ForwardRequest {
  /// The same forward with a chosen submit port.
  public func listening(on port: Port) -> ForwardRequest {
    ForwardRequest(kind: kind, listen: .port(port), host: host, connect: connect, on: node)
  }

  /// The same forward with a chosen exec port.
  public func connecting(to port: Port) -> ForwardRequest {
    ForwardRequest(kind: kind, listen: listen, host: host, connect: .port(port))
  }

  /// Where the forward listens in a step: one end for each node that it leads to.
  public func listens(_ facts: StepFacts) throws(SpecError) -> [Endpoint] {
    try plan(facts, anywhere: true).map(\.listen)
  }

  fileprivate func plan(_ facts: StepFacts, anywhere: Bool) throws(SpecError) -> [Forward] {
    try targets(facts, anywhere: anywhere).map { target throws(SpecError) in
      let place = PathFacts(step: facts.step, user: facts.user, place: target.place)
      return Forward(
        kind, node: facts.nodes[target.place], listen: try end(listen, place),
        host: target.host, connect: try end(connect, place))
    }
  }

  /// The indices of the nodes that carry the forward, and the host that each node connects to.
  private func targets(
    _ facts: StepFacts, anywhere: Bool
  ) throws(SpecError) -> [(place: Int, host: HostName)] {
    if kind == .remote {
      let host = try origin(facts, anywhere: anywhere)
      return try places(of: node, facts).map { ($0, host) }
    }
    if case .named(let host) = host, facts.nodes.place(of: host, known: { .own }) == nil {
      if !anywhere { throw foreign(host.description, facts) }
      return [(0, host)]
    }
    return try places(of: host, facts).map { ($0, .localhost) }
  }

  private func places(of host: RequestedHost, _ facts: StepFacts) throws(SpecError) -> [Int] {
    switch host {
    case .nearest: return [0]
    case .all: return Array(facts.nodes.indices)
    case .after(let places):
      guard facts.nodes.indices.contains(places) else { throw foreign("+\(places)", facts) }
      return [places]
    case .named(let host):
      guard let place = facts.nodes.place(of: host, known: { .own }) else {
        throw foreign(host.description, facts)
      }
      return [place]
    }
  }

  /// Where `R:` leads to from the submit host.
  private func origin(_ facts: StepFacts, anywhere: Bool) throws(SpecError) -> HostName {
    guard case .named(let host) = host else { return .localhost }
    if !anywhere { throw foreign(host.description, facts) }
    return host
  }

  private func foreign(_ text: String, _ facts: StepFacts) -> SpecError {
    let shown = facts.nodes.prefix(8).map(\.description).joined(separator: ", ")
    return .noNode(
      text: printable(text), forward: printable(description), step: facts.step.words,
      nodes: facts.nodes.count > 8 ? shown + ", …" : shown)
  }

  private func end(_ requested: RequestedEnd, _ place: PathFacts) throws(SpecError) -> Endpoint {
    switch requested {
    case .port(let port): return .port(port)
    case .any: return .free
    case .path(let pattern):
      do throws(PathPattern.Refusal) { return .path(try pattern.path(place)) } catch {
        throw SpecError(error, text: pattern.description, forward: description)
      }
    }
  }
}
