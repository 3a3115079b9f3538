// How a tunnel is told to people: the same words from srun and from spunnelctl.

import SpunnelSystem

/// The lines that tell where a tunnel leads and how to get there from elsewhere.
public struct Announcement {
  private let all: [Forward]

  public init(_ forwards: [Forward]) { all = forwards }

  /// A line for each forward: `localhost:8001 -> n1:8000`.
  public var forwards: [String] { all.map(\.arrow) }

  /// A line for each forward that a browser on this host takes: `http://localhost:8001/`.
  public var addresses: [String] {
    all.compactMap { forward in
      guard let port = forward.listen.port else { return nil }
      switch forward.kind {
      case .local: return "http://localhost:\(port)/"
      case .dynamic: return "socks5h://localhost:\(port)"
      case .remote: return nil
      }
    }
  }

  /// The command that carries the submit ports on to the user's own computer; `nil` when there are
  /// none.
  public var command: String? {
    let ports = all.filter { $0.kind != .remote }.compactMap(\.listen.port)
    if ports.isEmpty { return nil }
    let options = ports.map { "-L \($0):localhost:\($0)" }.joined(separator: " ")
    return "ssh \(options) \(Host.userName)@\(Host.name)"
  }
}

extension ForwardRequest {
  /// Where it will lead once its job runs, for people.
  public func promise(_ job: UInt32) -> String {
    let near =
      if case .path(let path) = listen { "\(path)" } else { "port \(listen) of \(Host.name)" }
    switch kind {
    case .local where host == .all && listen == .any:
      return
        "a free port of \(Host.name) -> port \(connect) of each node of job \(job), while it runs"
    case .local: return "\(near) -> \(connect.named) of job \(job), while it runs"
    case .remote:
      return "\(listen.named) of job \(job) -> \(connect.named) of \(Host.name), while it runs"
    case .dynamic: return "\(near) -> SOCKS, through job \(job), while it runs"
    }
  }
}
