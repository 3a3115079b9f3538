// How a tunnel is told to people: the same words from srun and from spunnelctl.

import SpunnelSlurm
import SpunnelSystem

/// The lines that tell where a tunnel leads and how to get there from elsewhere.
public struct Announcement: Sendable {
  private let all: [Forward]

  public init(_ forwards: [Forward]) { all = forwards }

  /// - Parameters:
  ///   - held: whose submit ends are held until the job runs
  ///   - step: the job's
  public init(held: TunnelSpec, _ step: StepName) {
    self.init(held.forwards.compactMap { $0.held(step) })
  }

  /// A line for each forward: `localhost:8001 -> n1:8000`.
  public var forwards: [String] { all.map(\.arrow) }

  /// The command that carries the submit ends on to the user's own computer; `nil` when there are
  /// none.
  public var command: String? {
    // Two sockets of one exec port cannot both have it there.
    var taken: Set<Port> = Set(all.compactMap { $0.kind == .remote ? nil : $0.listen.port })
    let options = all.compactMap { $0.carrying(&taken) }.map { "-L \($0)" }
    if options.isEmpty { return nil }
    return "ssh \(options.joined(separator: " ")) \(Host.userName)@\(Host.name)"
  }
}

extension Forward {
  /// What a program on this host is given, as far as it is known: `localhost:8001`, with the service's
  /// protocol before it once that is known, `socks5h://…` as a proxy, and the path of a unix socket as curl
  /// and nginx write it; `nil` when it leads here.
  ///
  /// - Parameter spoken: what the service speaks
  public func address(_ spoken: SpokenProtocol? = nil) -> String? {
    if kind == .remote { return nil }
    if let path = listen.path { return "unix:\(path)" }
    guard let port = listen.port else { return nil }
    if kind == .dynamic { return "socks5h://localhost:\(port)" }
    guard let spoken else { return "localhost:\(port)" }
    return "\(spoken.rawValue)://localhost:\(port)" + (spoken == .http ? "/" : "")
  }

  /// What ssh's `-L` takes on the user's own computer to reach the submit end. A path becomes the
  /// exec port there, or a file of the same name where ssh is started.
  ///
  /// - Parameter taken: the ports there that other forwards have
  fileprivate func carrying(_ taken: inout Set<Port>) -> String? {
    if kind == .remote { return nil }
    // By way of the port itself, whoever has it after the tunnel would get what is sent then.
    if let port = listen.port {
      return "\(port):" + (OwnSocket.existing(port).map { quoted($0) } ?? "localhost:\(port)")
    }
    guard let path = listen.path else { return nil }
    if let port = connect.port, port.number >= 1024, taken.insert(port).inserted {
      return "\(port):\(quoted(path))"
    }
    let name = path.split(separator: "/").last ?? "socket"
    return "\(quoted("./\(name)")):\(quoted(path))"
  }

  /// As a shell takes it.
  private func quoted(_ path: String) -> String {
    let isPlain = path.utf8.allSatisfy { byte in
      NodeName.allows(byte) || "/+@%,".utf8.contains(byte)
    }
    return isPlain ? path : shellQuoted(path)
  }
}

extension Forward {
  /// A line for a service whose own port is not the submit end's: `nil` where they are the same.
  public var portNote: String? {
    guard kind == .local, let near = listen.port, let far = connect.port, near != far else {
      return nil
    }
    return "port \(near) is in use on \(node), so the program has port \(far) there: where it says "
      + "\(far), write \(near); tasks know it as $SPUNNEL_LOCAL_PORT and $SPUNNEL_URL"
  }

  /// What tasks are told of the submit end: the names without `SPUNNEL_`, and their values.
  public var submitVariables: [(name: String, value: String)] {
    guard kind == .local, let port = listen.port else { return [] }
    return [("LOCAL_PORT", "\(port)"), ("URL", "http://localhost:\(port)/")]
  }
}

extension ForwardRequest {
  /// Its submit end while the job waits, as a forward to a node that is not known yet.
  ///
  /// - Returns: `nil` where the end is not known yet either, and for a forward that leads here
  public func held(_ step: StepName) -> Forward? {
    guard kind != .remote, let node = NodeName("job-\(step.job)") else { return nil }
    let end: Endpoint
    switch listen {
    case .any: return nil
    case .port(let port): end = .port(port)
    case .path(let pattern):
      guard let path = (try? pattern.path(known: step)) ?? nil else { return nil }
      end = .path(path)
    }
    var far = Endpoint.free
    if case .port(let port) = connect { far = .port(port) }
    return Forward(kind, node: node, listen: end, host: .localhost, connect: far)
  }

  /// Where it will lead once its job runs, for people.
  public func promise(_ job: UInt32) -> String {
    switch kind {
    case .local: "\(named(listen)) -> \(destination(job)), while it runs"
    case .remote: "\(listen.named) of job \(job) -> \(origin), while it runs"
    case .dynamic: "\(named(listen)) -> SOCKS, through job \(job), while it runs"
    }
  }

  /// An end on this host.
  private func named(_ end: RequestedEnd) -> String {
    switch end {
    case .path(let path): "\(path)"
    case .port(let port): "localhost:\(port)"
    case .any: "a free port of \(Host.name)"
    }
  }

  /// Where a job's forward leads.
  private func destination(_ job: UInt32) -> String {
    let end = connect == .any ? "a free port" : connect.named
    return switch host {
    case .nearest: "\(end) of job \(job)"
    case .after(let places): "\(end) of node +\(places) of job \(job)"
    case .all: "\(end) of each node of job \(job)"
    case .named(let host): "\(end) of \(host), through job \(job)"
    }
  }

  /// Where a job's processes are led to.
  private var origin: String {
    if case .named(let host) = host { return "\(connect.named) of \(host), through \(Host.name)" }
    return connect == .any ? "a free port of \(Host.name)" : "\(connect.named) of \(Host.name)"
  }
}
