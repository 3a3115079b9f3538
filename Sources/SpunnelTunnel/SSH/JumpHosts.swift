// The hosts that ssh jumps over on its way to a node (ssh_config(5), `ProxyJump`). The ssh that does so
// reads the user's configuration for them, and may be told there to ask, to stay behind as a control
// master, to ride on another connection that then ends with the tunnel, to run commands or not to read
// its input. ssh has no way to tell it otherwise, so it is started as a `ProxyCommand` of ours.

import SpunnelSlurm
import SpunnelSystem

public struct JumpHosts: Equatable, Sendable {
  /// One of them, as in `user@gate:2222` or `[fd00::2]`.
  struct Hop: Equatable {
    let user: String?
    let host: HostName
    let port: Port?
  }

  /// In the order of the way.
  private let hops: [Hop]

  /// - Parameter text: as `ssh -G` tells it
  /// - Returns: `nil` where there are none, or one is written with what a shell might not take as it is
  init?(_ text: String?) {
    guard let text, text != "none" else { return nil }
    let words = text.split(separator: ",", omittingEmptySubsequences: false)
    hops = words.compactMap { Hop($0) }
    if hops.count < words.count { return nil }
  }

  /// - Parameters:
  ///   - ssh: the program, with its words
  ///   - options: words for `-o`, at each host
  /// - Returns: the value of `ProxyCommand`, for a shell; ssh expands its `%h` and `%p`
  func proxyCommand(_ ssh: [String], options: [String]) -> String {
    var command = ""
    for hop in hops {
      var words = ssh + ["-T", "-a", "-x"] + SSHCommand.options(options)
      if !command.isEmpty { words += ["-o", "ProxyCommand=" + command] }
      // For the next ssh to expand, not for this one.
      words = words.map(SSHCommand.unexpanded) + hop.login + ["-W", "[%h]:%p", "--"]
      words.append(hop.host.description)
      command = words.map(shellQuoted).joined(separator: " ")
    }
    return command
  }

  /// - Parameter distance: 1 for the last of them, 2 for the one before it
  subscript(distance: Int) -> Hop? {
    (1...hops.count).contains(distance) ? hops[hops.count - distance] : nil
  }
}

extension JumpHosts.Hop {
  /// - Parameter text: as ssh reads it: the host begins after the last `@`
  init?(_ text: Substring) {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    let user = parts.dropLast().joined(separator: "@")
    guard parts.count == 1 || JumpHosts.Hop.isPlain(user), let place = parts.last,
      let (host, port) = JumpHosts.Hop.place(place)
    else { return nil }
    self.init(user: parts.count == 1 ? nil : user, host: host, port: port)
  }

  private static func place(_ text: Substring) -> (HostName, Port?)? {
    var (host, rest) = (text, Substring())
    if text.first == "[" {
      guard let end = text.firstIndex(of: "]") else { return nil }
      host = text[..<end].dropFirst()
      rest = text[end...].dropFirst()
    } else if let colon = text.firstIndex(of: ":") {
      host = text[..<colon]
      rest = text[colon...]
    }
    guard let name = HostName(host) else { return nil }
    if rest.isEmpty { return (name, nil) }
    guard rest.first == ":", let port = Port(rest.dropFirst()) else { return nil }
    return (name, port)
  }

  private static func isPlain(_ user: String) -> Bool {
    !user.isEmpty && user.first != "-"
      && user.utf8.allSatisfy {
        NodeName.allows($0) || $0 == UInt8(ascii: "@") || $0 == UInt8(ascii: ":")
      }
  }

  /// ssh's own words for user and port.
  fileprivate var login: [String] {
    (user.map { ["-l", $0] } ?? []) + (port.map { ["-p", $0.description] } ?? [])
  }
}
