// Explains why ssh gave up: the line that matters, the next step for the user, and whether to try
// again.

import SpunnelSlurm
import SpunnelSystem

/// The explanation of one failed attempt to connect.
public struct SSHDiagnosis: Error, Equatable {
  /// How long to repeat the attempt.
  public enum Retry: Equatable, Sendable {
    /// Another attempt cannot succeed.
    case never
    /// For a moment: a service may be restarting.
    case briefly
    /// Until the timeout: the node may not know the job yet.
    case untilTimeout
  }

  /// What ssh said, in one line.
  public let said: String
  /// What the user can do next.
  public let advice: String
  public let retry: Retry
  /// Whether the cause is on this host. In this case no other transport helps.
  let isLocal: Bool

  init(said: String, advice: String, retry: Retry, isLocal: Bool = false) {
    self.said = said
    self.advice = advice
    self.retry = retry
    self.isLocal = isLocal
  }

  /// A host that ssh logs in to: the node or a jump host.
  private struct Place {
    let name: String
    /// ssh's arguments for it, such as `-p 2222 me@gate`.
    let login: String
    /// The host's name in known_hosts.
    let key: String

    init(_ node: NodeName) {
      (name, login, key) = (node.description, node.description, node.description)
    }

    init(_ hop: JumpHosts.Hop) {
      name = hop.host.description
      let port = hop.port.map { "-p \($0) " } ?? ""
      login = port + shellWord((hop.user.map { "\($0)@" } ?? "") + name)
      key = hop.port.map { "'[\(hop.host)]:\($0)'" } ?? name
    }
  }

  private struct Rule: Sendable {
    let sign: String
    let advice: @Sendable (Place) -> String
    let retry: Retry
  }

  /// What ssh says of an unknown host key. It also says so after the more specific signs of the
  /// rules above.
  static let unknownKey = "Host key verification failed"

  /// Signs in what ssh said. The first rule that matches decides, so specific signs come first.
  private static let rules: [Rule] = [
    Rule(
      sign: "REMOTE HOST IDENTIFICATION HAS CHANGED",
      advice: {
        "the host key of \($0.name) changed: ask your administrator whether it was reinstalled, then "
          + "run ssh-keygen -R \($0.key)"
      }, retry: .never),
    Rule(
      sign: "REVOKED HOST KEY DETECTED",
      advice: { "the host key of \($0.name) is revoked: ask your administrator" }, retry: .never),
    Rule(
      sign: SSHDiagnosis.unknownKey,
      advice: {
        "the host key of \($0.name) is unknown: run ssh \($0.login) once and accept it, or ask your "
          + "administrator to list it in /etc/ssh/ssh_known_hosts"
      }, retry: .never),
    Rule(
      sign: "active jobs on this node",
      advice: { "\($0.name) does not know the job yet or refuses logins: try again" },
      retry: .untilTimeout),
    Rule(
      sign: "Permission denied (",
      advice: {
        "\($0.name) took none of your keys: make ssh \($0.login) work without a question first, with a key "
          + "in ~/.ssh/authorized_keys"
      }, retry: .briefly),
    Rule(
      sign: "administratively prohibited",
      advice: {
        "sshd on \($0.name) forbids forwarding (AllowTcpForwarding, PermitOpen in sshd_config): "
          + "ask your administrator"
      }, retry: .never),
    Rule(
      sign: "Could not resolve hostname",
      advice: { "this host knows no address for \($0.name): ask your administrator" }, retry: .never
    ),
    Rule(
      sign: "Connection refused",
      advice: { "no sshd answers on \($0.name): ask your administrator" }, retry: .briefly),
    Rule(
      sign: "No route to host", advice: { "\($0.name) is down or cut off: ask your administrator" },
      retry: .briefly),
    Rule(
      sign: "Network is unreachable",
      advice: { "\($0.name) is not reachable from this host: ask your administrator" },
      retry: .briefly),
    Rule(
      sign: "Connection timed out",
      advice: { "\($0.name) does not answer: ask your administrator, or raise timeout=" },
      retry: .briefly),
    Rule(
      sign: "onfiguration option",
      advice: { _ in "mend ~/.ssh/config, or ask your administrator to mend /etc/ssh/ssh_config" },
      retry: .never),
    Rule(
      sign: "Connection closed by",
      advice: { "\($0.name) closed the connection: see whether ssh \($0.login) works" },
      retry: .untilTimeout),
    Rule(
      sign: "Connection reset by",
      advice: { "\($0.name) closed the connection: see whether ssh \($0.login) works" },
      retry: .untilTimeout),
  ]

  /// Explains a failed ssh.
  ///
  /// - Parameters:
  ///   - lines: what ssh wrote to its standard error, in order
  ///   - node: the node that ssh was to reach
  ///   - exitCode: ssh's exit code, used when it said nothing
  ///   - jumps: the jump hosts, if ssh jumps by our own `ProxyCommand`
  public init(lines: [String], node: NodeName, exitCode: Int, over jumps: JumpHosts? = nil) {
    for rule in SSHDiagnosis.rules {
      guard var index = lines.lastIndex(where: { $0.mentions(rule.sign) }) else { continue }
      let hop = jumps?[SSHDiagnosis.distance(of: index, in: lines)]
      // After a bad configuration ssh prints a count of the errors. The error itself is on the line
      // before.
      if index > 0 && lines[index].mentions(": terminating, ") { index -= 1 }
      self.init(
        said: SSHDiagnosis.plain(lines[index]),
        advice: rule.advice(hop.map { Place($0) } ?? Place(node)), retry: rule.retry)
      return
    }
    self.init(
      said: lines.last.map(SSHDiagnosis.plain) ?? SSHDiagnosis.end(exitCode),
      advice: "see whether ssh \(node) works", retry: .never)
  }

  /// How many hosts before the node failed: 0 is the node, 1 the last jump host.
  ///
  /// Each ssh behind the failed one reports that its own connection was closed, with `UNKNOWN port
  /// 65535` as the peer, since it has no socket. A `channel` line is the exception: the ssh to the
  /// host before the failed one says it.
  private static func distance(of index: Int, in lines: [String]) -> Int {
    let closed = lines[index...].dropFirst().count { $0.mentions("UNKNOWN port 65535") }
    return closed - (lines[index].hasPrefix("channel ") ? 1 : 0)
  }

  /// The lines in which ssh explains its own end.
  ///
  /// Lines about single connections (`channel …`) are dropped: they do not end ssh. The exception
  /// is a `connect failed` before `stdio forwarding failed`, which says why a jump host could not
  /// reach the next host.
  public static func reasons(_ lines: [String]) -> [String] {
    let end = lines.lastIndex { $0.hasPrefix("stdio forwarding failed") }
    let jump = lines[..<(end ?? 0)].lastIndex {
      $0.hasPrefix("channel ") && $0.mentions("connect failed")
    }
    return lines.indices.filter { $0 == jump || !lines[$0].hasPrefix("channel ") }.map { lines[$0] }
  }

  /// Explains a channel that the remote sshd refused to open.
  public init(refusal line: String, node: NodeName) {
    self.init(lines: [line], node: node, exitCode: 0)
  }

  /// One line for the user: `<what ssh said>: <what to do>`.
  public var message: String { "\(said): \(advice)" }

  /// How a program ended that said nothing.
  static func end(_ exitCode: Int, of program: String = "ssh") -> String {
    (129..<255).contains(exitCode)
      ? "\(program) was killed by signal \(exitCode - 128)"
      : "\(program) ended with status \(exitCode)"
  }

  /// The line without ssh's decoration: no `@@@ … @@@` around a warning, no full stop.
  static func plain(_ line: String) -> String {
    var text = Substring(printable(line))
    while let last = text.last, "@. ".contains(last) { text.removeLast() }
    while let first = text.first, "@ ".contains(first) { text.removeFirst() }
    return String(text)
  }
}
