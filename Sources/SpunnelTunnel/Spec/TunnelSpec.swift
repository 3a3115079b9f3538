// The text after `--tunnel`, parsed once into a value that cannot be wrong. An error quotes the
// offending text. The grammar is that of ssh's -L, -R and -D where ssh has one.

import SpunnelSlurm
import SpunnelSystem

/// One end of a forward, as the user typed it.
public enum RequestedEnd: Hashable, Sendable, CustomStringConvertible {
  case port(Port)
  /// A free port, chosen on the host of that end.
  /// The end in a sentence: `port 8000`, or a path.
  case any
  case path(PathPattern)

  /// In a sentence.
  var named: String { if case .path = self { description } else { "port \(self)" } }

  public var description: String {
    switch self {
    case .port(let port): port.description
    case .any: "0"
    case .path(let path): path.description
    }
  }
}

/// Which hosts a forward leads to, as the user typed it.
public enum RequestedHost: Hashable, Sendable {
  /// The first node of the step; for `R:` the submit host.
  case nearest
  case named(HostName)
  /// The node that many places after the first node.
  case after(Int)
  /// Every node of the step, with a forward each.
  case all
}

/// One forward, as the user typed it.
public struct ForwardRequest: Hashable, Sendable {
  public let kind: Forward.Kind
  public let listen: RequestedEnd
  public let host: RequestedHost
  /// Where the other side connects; `any` when `kind` is `dynamic`.
  public let connect: RequestedEnd
  /// For `R:` the node that listens; `nearest` for the other kinds.
  public let node: RequestedHost

  init(
    kind: Forward.Kind, listen: RequestedEnd, host: RequestedHost, connect: RequestedEnd,
    on node: RequestedHost = .nearest
  ) {
    self.kind = kind
    self.listen = listen
    self.host = host
    self.connect = connect
    self.node = node
  }

  /// Whether it is a forward for each node of the step.
  public var isForAll: Bool { (kind == .remote ? node : host) == .all }

  /// Whether a port of the node is to be chosen.
  public var wantsExecPort: Bool {
    switch kind {
    case .local: connect == .any
    case .remote: listen == .any
    case .dynamic: false
    }
  }
}

/// Where `R:` listens, as it is typed.
private struct ExecPlace: Hashable {
  let node: RequestedHost
  let end: RequestedEnd
}

/// All the forwards of one tunnel, at least one.
public struct TunnelSpec: Equatable, Sendable {
  public let forwards: [ForwardRequest]

  /// Reads `<forward>[,<forward>…]`.
  ///
  /// - Parameter text: the text as typed, not trimmed
  /// - Throws: the first forward that is wrong, or an end that is listed twice
  public init(_ text: String) throws(SpecError) {
    if text.isEmpty { throw .empty }
    var forwards: [ForwardRequest] = []
    var submitEnds: Set<RequestedEnd> = []
    var execEnds: Set<ExecPlace> = []
    for item in text.split(separator: ",", omittingEmptySubsequences: false) {
      if item.isEmpty { throw .emptyForward(spec: printable(text)) }
      let forward = try SpecParser(String(item)).forward()
      if forward.listen != .any {
        if forward.kind == .remote {
          guard execEnds.insert(ExecPlace(node: forward.node, end: forward.listen)).inserted else {
            throw .execEndTwice(end: "\(forward.listen)")
          }
        } else if !submitEnds.insert(forward.listen).inserted {
          throw .submitEndTwice(end: "\(forward.listen)")
        }
      }
      forwards.append(forward)
    }
    self.forwards = forwards
  }

  public init(forwards: [ForwardRequest]) { self.forwards = forwards }

  /// The submit ports that have a number. They can be bound before anything else is known.
  public var ports: [Port] {
    forwards.compactMap { forward in
      if forward.kind != .remote, case .port(let port) = forward.listen { port } else { nil }
    }
  }

  /// The paths of submit sockets that are known before the nodes are.
  ///
  /// - Parameter step: the step; `nil` while there is no job
  /// - Throws: a path that is too long or not allowed once its patterns are expanded
  public func paths(known step: StepName?) throws(SpecError) -> [String] {
    var paths: [String] = []
    for forward in forwards where forward.kind != .remote {
      guard case .path(let pattern) = forward.listen else { continue }
      do throws(PathPattern.Refusal) {
        if let path = try pattern.path(known: step) { paths.append(path) }
      } catch {
        throw SpecError(error, text: pattern.description, forward: forward.description)
      }
    }
    return paths
  }

  /// Whether the keeper has to choose an exec port.
  public var wantsExecPort: Bool { forwards.contains(where: \.wantsExecPort) }
}

extension ForwardRequest: CustomStringConvertible {
  /// The forward as a user may type it.
  public var description: String {
    switch kind {
    case .local: "\(listen):\(part(host))\(connect == .any ? "auto" : connect.description)"
    case .remote: "R:\(part(node))\(listen):\(part(host))\(connect)"
    case .dynamic: "D:\(listen)"
    }
  }

  private func part(_ host: RequestedHost) -> String {
    switch host {
    case .nearest: ""
    case .named(let host): host.bracketed + ":"
    case .after(let places): "+\(places):"
    case .all: "all:"
    }
  }
}

extension TunnelSpec: CustomStringConvertible {
  public var description: String { forwards.map(\.description).joined(separator: ",") }
}
