// The hosts that ssh jumps over on its way to a node (ssh_config(5), `ProxyJump`).
//
// ssh starts a second ssh for each jump host. That ssh reads the user's configuration. It may then
// ask questions, stay behind as a control master, run commands, or ignore its input. It may also
// share a connection, which then ends with the tunnel. The first ssh cannot override this, so
// Spunnel starts the second ssh itself, as a `ProxyCommand`.

import SpunnelSlurm
import SpunnelSystem

/// The jump hosts of one connection, in the order of the way.
public struct JumpHosts: Equatable, Sendable {
  /// One jump host, written `user@gate:2222` or `[fd00::2]`.
  struct Hop: Equatable {
    let user: String?
    let host: HostName
    let port: Port?
  }

  /// The jump hosts; the last one is next to the node.
  private let hops: [Hop]

  /// - Parameter text: the value of `proxyjump` in the output of `ssh -G`
  /// - Returns: `nil` when there are no jump hosts, or when a shell might misread the name of a
  ///   jump host
  init?(_ text: String?) {
    guard let text, text != "none" else { return nil }
    let words = text.split(separator: ",", omittingEmptySubsequences: false)
    hops = words.compactMap { Hop($0) }
    if hops.count < words.count { return nil }
  }

  /// The `ProxyCommand` that leads over all jump hosts.
  ///
  /// - Parameters:
  ///   - ssh: the program and its first arguments
  ///   - options: the words for `-o` at each jump host
  /// - Returns: a command line for a shell, in which ssh expands `%h` and `%p`
  func proxyCommand(_ ssh: [String], options: [String]) -> String {
    var command = ""
    for hop in hops {
      var words = ssh + ["-T", "-a", "-x"] + SSHCommand.options(options)
      if !command.isEmpty { words += ["-o", "ProxyCommand=" + command] }
      // This ssh must not expand `%` tokens that are meant for the next ssh.
      words = words.map(SSHCommand.unexpanded) + hop.login + ["-W", "[%h]:%p", "--"]
      words.append(hop.host.description)
      command = words.map(shellQuoted).joined(separator: " ")
    }
    return command
  }

  /// The jump host at a distance from the node; `nil` when there is none.
  ///
  /// - Parameter distance: 1 for the last jump host, 2 for the one before it
  subscript(distance: Int) -> Hop? {
    (1...hops.count).contains(distance) ? hops[hops.count - distance] : nil
  }
}

extension JumpHosts.Hop {
  /// - Parameter text: one jump host as ssh reads it: the host begins after the last `@`
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

  /// ssh's own options for user and port.
  fileprivate var login: [String] {
    (user.map { ["-l", $0] } ?? []) + (port.map { ["-p", $0.description] } ?? [])
  }
}
