// How a tunnel is told to people: the same words from srun and from spunnelctl.

import SpunnelSystem

/// The lines that tell where a tunnel leads and how to get there from elsewhere.
public struct Announcement {
  private let host: HostFile

  public init(_ host: HostFile) { self.host = host }

  /// A line for each forward: `localhost:8001 -> n1:8000`.
  public var forwards: [String] {
    host.forwards.map { "localhost:\($0.submit) -> \(host.node):\($0.exec)" }
  }

  /// A line for each forward that a browser on this host takes: `http://localhost:8001/`.
  public var addresses: [String] { host.forwards.map { "http://localhost:\($0.submit)/" } }

  /// The command that carries the submit ports on to the user's own computer.
  public var command: String {
    let options = host.forwards.map { "-L \($0.submit):localhost:\($0.submit)" }
    return "ssh \(options.joined(separator: " ")) \(Host.userName)@\(Host.name)"
  }
}
