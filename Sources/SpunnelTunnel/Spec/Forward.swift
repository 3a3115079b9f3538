// One forward as the keeper makes it: every port, path and node that a spec may leave open is
// known.

import SpunnelSlurm

/// Where a forward begins or ends on one host.
public enum Endpoint: Hashable, Sendable, CustomStringConvertible {
  case port(Port)
  /// The absolute path of a unix socket.
  case path(String)
  /// A port that the keeper still has to choose.
  case free

  public var description: String {
    switch self {
    case .port(let port): port.description
    case .path(let path): path
    case .free: "0"
    }
  }

  /// Reads what `description` writes.
  init?(_ text: some StringProtocol) {
    if text == "0" {
      self = .free
    } else if let port = Port(text) {
      self = .port(port)
    } else if text.hasPrefix("/"), text.utf8.count <= PathPattern.longest, PathPattern.isWord(text)
    {
      self = .path(String(text))
    } else {
      return nil
    }
  }

  /// The end in a sentence: `port 8000`, or a path.
  public var named: String { port == nil ? description : "port \(self)" }

  /// The port; `nil` for a path, and for a port that is still to be chosen.
  public var port: Port? { if case .port(let port) = self { port } else { nil } }
  /// The path; `nil` for a port.
  public var path: String? { if case .path(let path) = self { path } else { nil } }
}

/// One forward of a tunnel.
public struct Forward: Hashable, Sendable {
  /// Which side listens, like ssh's -L, -R and -D.
  public enum Kind: String, Sendable {
    /// The submit host listens, the exec host connects.
    case local
    /// The exec host listens, the submit host connects.
    case remote
    /// The submit host listens and speaks SOCKS, the exec host connects.
    case dynamic
  }

  public let kind: Kind
  /// The node whose ssh connection carries the forward.
  public let node: NodeName
  /// Where the forward listens: on the submit host, or on the exec host when `kind` is `remote`.
  public var listen: Endpoint
  /// The host to connect to, as the connecting side names it.
  public let host: HostName
  /// Where that host is connected to; `free` when `kind` is `dynamic`.
  public var connect: Endpoint

  public init(_ kind: Kind, node: NodeName, listen: Endpoint, host: HostName, connect: Endpoint) {
    self.kind = kind
    self.node = node
    self.listen = listen
    self.host = host
    self.connect = connect
  }

  /// The submit end. It identifies the forward: two forwards cannot share it.
  public var submit: Endpoint { kind == .remote ? connect : listen }
  /// The exec end; `free` when `kind` is `dynamic`.
  public var exec: Endpoint { kind == .remote ? listen : connect }

  /// A listening end and its host. Two forwards cannot share it.
  public struct Place: Hashable, Sendable {
    let end: Endpoint
    /// The exec host; `nil` means the submit host.
    let node: NodeName?
  }

  /// Where the forward listens; `nil` while that end is still to be chosen.
  public var place: Place? {
    listen == .free ? nil : Place(end: listen, node: kind == .remote ? node : nil)
  }
}

extension Forward: CustomStringConvertible {
  /// The forward as a user would type it: `8001:n1:8000`, `R:9000:5432`, `D:1080`.
  public var description: String {
    switch kind {
    case .local: "\(listen):\(host.isLocal ? node.description : host.bracketed):\(connect)"
    case .remote:
      host.isLocal ? "R:\(listen):\(connect)" : "R:\(listen):\(host.bracketed):\(connect)"
    case .dynamic: "D:\(listen)"
    }
  }

  /// The end on the exec host, or on a host behind it, for people: `n1:8000`, `db:5432`.
  package var farEnd: String {
    "\(kind == .local && !host.isLocal ? host.bracketed : node.description):\(exec)"
  }

  /// Where the forward leads, for people: `localhost:8001 -> n1:8000`.
  public var arrow: String {
    let near = submit.path ?? "\(kind == .remote ? host.bracketed : "localhost"):\(submit)"
    let far = farEnd
    switch kind {
    case .local: return host.isLocal ? "\(near) -> \(far)" : "\(near) -> \(far), through \(node)"
    case .remote: return "\(far) -> \(near)"
    case .dynamic: return "\(near) -> SOCKS, through \(node)"
    }
  }

  /// The forward as five words of a record, which `init(words:)` reads.
  var words: String { "\(kind.rawValue) \(node) \(listen) \(host) \(connect)" }

  /// Reads what `words` writes.
  ///
  /// - Returns: `nil` for any other text
  init?(words text: some StringProtocol) {
    let words = Substring(text).utf8
      .split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false).map { Substring($0) }
    guard words.count == 5, let kind = Kind(rawValue: String(words[0])),
      let node = NodeName(words[1]), let listen = Endpoint(words[2]), let host = HostName(words[3]),
      let connect = Endpoint(words[4])
    else { return nil }
    self.init(kind, node: node, listen: listen, host: host, connect: connect)
  }
}
