// How a tunnel is told to people: the same words from srun and from spunnelctl.

import SpunnelSlurm
import SpunnelSystem

/// The lines that tell where a tunnel leads and how to get there from elsewhere.
public struct Announcement: Sendable {
  private let all: [Forward]

  public init(_ forwards: [Forward]) { all = forwards }

  /// A line for each forward: `localhost:8001 -> n1:8000`.
  public var forwards: [String] { all.map(\.arrow) }

  /// The addresses of the forwards, in their order.
  public var addresses: [String] { all.compactMap(\.address) }

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
  /// What a program on this host is given: `http://localhost:8001/` for a browser, `socks5h://…` as
  /// a proxy, and the path of a unix socket as curl and nginx write it; `nil` when it leads here.
  public var address: String? {
    switch kind {
    case .remote: nil
    case .dynamic:
      listen.port.map { "socks5h://localhost:\($0)" } ?? listen.path.map { "unix:\($0)" }
    case .local: listen.port.map { "http://localhost:\($0)/" } ?? listen.path.map { "unix:\($0)" }
    }
  }

  /// What ssh's `-L` takes on the user's own computer to reach the submit end. A path becomes the
  /// exec port there, or a file of the same name where ssh is started.
  ///
  /// - Parameter taken: the ports there that other forwards have
  fileprivate func carrying(_ taken: inout Set<Port>) -> String? {
    if kind == .remote { return nil }
    if let port = listen.port { return "\(port):localhost:\(port)" }
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
