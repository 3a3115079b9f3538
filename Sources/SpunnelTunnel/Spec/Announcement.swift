// How Spunnel describes a tunnel to people: srun and spunnelctl print the same words.

import SpunnelSlurm
import SpunnelSystem

/// The lines that say where a tunnel leads, and the command that reaches it from another computer.
public struct Announcement: Sendable {
  private let all: [Forward]
  private let user: String
  private let host: String

  /// - Parameters:
  ///   - forwards: the forwards that are up, in the order of the spec
  ///   - host: the name by which users log in to this host
  ///   - user: the login name there
  public init(
    _ forwards: [Forward], through host: String = Host.name, as user: String = Host.userName
  ) {
    all = forwards
    (self.host, self.user) = (host, user)
  }

  /// Describes a tunnel whose job is still waiting.
  ///
  /// - Parameters:
  ///   - held: the spec whose submit ends the keeper holds until the job runs
  ///   - step: the step of that job
  ///   - host: the name by which users log in to this host
  public init(held: TunnelSpec, _ step: StepName, through host: String = Host.name) {
    self.init(held.forwards.compactMap { $0.held(step) }, through: host)
  }

  /// A line for each forward: `localhost:8001 -> n1:8000`.
  public var forwards: [String] { all.map(\.arrow) }

  /// The `ssh -L` command that carries the submit ends on to the user's own computer.
  ///
  /// `nil` when no forward listens on this host.
  public var command: String? {
    // Two sockets with the same exec port cannot both get that port on the user's computer.
    var taken: Set<Port> = Set(all.compactMap { $0.kind == .remote ? nil : $0.listen.port })
    let options = all.compactMap { $0.carrying(&taken) }.map { "-L \($0)" }
    if options.isEmpty { return nil }
    return "ssh \(options.joined(separator: " ")) \(shellWord("\(user)@\(host)"))"
  }
}

extension Forward {
  /// The address of the submit end for a program on this host.
  ///
  /// A port is `localhost:8001`. If the service's protocol is known, its name comes first:
  /// `http://localhost:8001/`. A SOCKS proxy is `socks5h://…`. A unix socket is `unix:` and its
  /// path, as curl and nginx write it.
  ///
  /// - Parameter spoken: the protocol of the service; `nil` when unknown
  /// - Returns: `nil` for a remote forward, which listens on the exec host, and for a port that is
  ///   still to be chosen
  public func address(_ spoken: SpokenProtocol? = nil) -> String? {
    if kind == .remote { return nil }
    if let path = listen.path { return "unix:\(path)" }
    guard let port = listen.port else { return nil }
    if kind == .dynamic { return "socks5h://localhost:\(port)" }
    guard let spoken else { return "localhost:\(port)" }
    return "\(spoken.rawValue)://localhost:\(port)" + (spoken == .http ? "/" : "")
  }

  /// The argument of ssh's `-L` that reaches the submit end from the user's own computer.
  ///
  /// A unix socket gets its exec port there. If that port is privileged or taken, ssh makes a
  /// socket of the same name in its working directory.
  ///
  /// - Parameter taken: the ports that other forwards have on the user's computer; this forward's
  ///   port is added
  fileprivate func carrying(_ taken: inout Set<Port>) -> String? {
    if kind == .remote { return nil }
    // The unix socket in the user's home comes first. After the tunnel ends, another user may bind
    // the port, and `ssh -L` would send the user's bytes there.
    if let port = listen.port {
      return "\(port):" + (OwnSocket.existing(port).map { shellWord($0) } ?? "localhost:\(port)")
    }
    guard let path = listen.path else { return nil }
    if let port = connect.port, port.number >= 1024, taken.insert(port).inserted {
      return "\(port):\(shellWord(path))"
    }
    let name = path.split(separator: "/").last ?? "socket"
    return "\(shellWord("./\(name)")):\(shellWord(path))"
  }
}

extension Forward {
  /// A line that says that the exec port differs from the submit port; `nil` when both are the
  /// same.
  public var portNote: String? {
    guard kind == .local, let near = listen.port, let far = connect.port, near != far else {
      return nil
    }
    return "port \(near) is in use on \(node), so the program has port \(far) there: where it says "
      + "\(far), write \(near); tasks know it as $SPUNNEL_LOCAL_PORT and $SPUNNEL_URL"
  }

  /// Variables that tell tasks of the submit end: names without `SPUNNEL_`, and values.
  public var submitVariables: [(name: String, value: String)] {
    guard kind == .local, let port = listen.port else { return [] }
    return [("LOCAL_PORT", "\(port)"), ("URL", "http://localhost:\(port)/")]
  }
}

extension ForwardRequest {
  /// The submit end while the job waits, as a forward to a placeholder node `job-<id>`.
  ///
  /// - Parameter step: the step of the waiting job; its number fills `%j` and `%s` in a path
  /// - Returns: `nil` for a remote forward, and while the submit end itself is unknown
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

  /// A line for people that says where the forward will lead once its job runs.
  ///
  /// - Parameter job: the job id
  public func promise(_ job: UInt32) -> String {
    switch kind {
    case .local: "\(named(listen)) -> \(destination(job)), while it runs"
    case .remote: "\(exit(job)) -> \(origin), while it runs"
    case .dynamic: "\(named(listen)) -> SOCKS, through job \(job), while it runs"
    }
  }

  /// An end on this host, in words.
  private func named(_ end: RequestedEnd) -> String {
    switch end {
    case .path(let path): "\(path)"
    case .port(let port): "localhost:\(port)"
    case .any: "a free port of \(Host.name)"
    }
  }

  /// The exec end of a local forward, in words.
  private func destination(_ job: UInt32) -> String {
    let end = connect == .any ? "a free port" : connect.named
    return switch host {
    case .nearest: "\(end) of job \(job)"
    case .after(let places): "\(end) of node +\(places) of job \(job)"
    case .all: "\(end) of each node of job \(job)"
    case .named(let host): "\(end) of \(host), through job \(job)"
    }
  }

  /// Where `R:` listens in a job.
  private func exit(_ job: UInt32) -> String {
    let end = listen == .any ? "a free port" : listen.named
    return switch node {
    case .nearest: "\(end) of job \(job)"
    case .after(let places): "\(end) of node +\(places) of job \(job)"
    case .all: "\(end) of each node of job \(job)"
    case .named(let host): "\(end) of \(host) in job \(job)"
    }
  }

  /// The submit end of a remote forward, in words.
  private var origin: String {
    if case .named(let host) = host { return "\(connect.named) of \(host), through \(Host.name)" }
    return connect == .any ? "a free port of \(Host.name)" : "\(connect.named) of \(Host.name)"
  }
}
