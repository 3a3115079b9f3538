// The plugin's arguments in plugstack.conf: defaults first, unknown keys refused by name.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// The plugin's arguments.
public struct Settings: Equatable, Sendable {
  /// Who may connect to a submit port.
  public enum Access: String, Sendable {
    /// Processes of the tunnel's owner.
    case owner
    /// The owner's processes and root's. A stranger can make a root daemon connect to any port.
    case ownerAndRoot = "owner+root"
    /// Every process on the submit host, as with plain `ssh -L`.
    case host

    /// Whether a user may connect; asked for `owner` and `ownerAndRoot` alone.
    ///
    /// - Parameters:
    ///   - user: the peer uid
    ///   - owner: the tunnel's owner
    package func admits(_ user: uid_t, to owner: uid_t) -> Bool {
      user == owner && !UserNamespace.isUnknown(user) || (self == .ownerAndRoot && user == 0)
    }
  }

  /// Which hosts a forward may lead to.
  public enum Targets: String, Sendable {
    /// The nodes of the step.
    case job
    /// Any host that the node reaches, as with plain `ssh -L`.
    case any
  }

  /// How ssh reaches the node.
  public enum Transport: String, CaseIterable, Sendable {
    /// By ssh; through srun if the node refuses ssh.
    case auto
    case ssh
    case srun
  }

  /// The ssh program and its first arguments. A name without a slash is looked up on `PATH`.
  public var sshCommand = ["ssh"]
  /// More arguments for ssh. They override Spunnel's preferences, but not what a tunnel needs.
  public var sshArguments: [String] = []
  /// The absolute path of the directory that holds `spunnel-<uid>`.
  public var stateDirectory = "/tmp"
  /// The longest wait for a tunnel, in seconds.
  public var timeout = 15
  /// Who may connect to a submit port.
  public var access = Access.owner
  /// Which hosts a forward may lead to.
  public var targets = Targets.job
  /// Whether srun waits for the tunnel before it starts the tasks.
  public var wait = true
  /// How ssh reaches the node.
  public var transport = Transport.auto
  /// Whether the lines at the start are left out. Errors are always printed.
  public var quiet = false
  /// The facility of the lines about a tunnel's start and end; `nil` turns them off.
  public var syslog: SystemLog.Facility? = .user
  /// Seconds between two questions to slurmctld about a job that no longer changes.
  public var poll = 4
  /// The name by which users log in to this host. `%h` in it stands for the host's own name; `nil`
  /// means the host's own name.
  public var loginHost: String?

  /// The name for ssh on the user's own computer.
  public var loginName: String {
    loginHost.map { Settings.loginName($0, on: Host.name) } ?? Host.name
  }

  private static func loginName(_ pattern: String, on host: String) -> String {
    let parts = pattern.split(separator: "%", omittingEmptySubsequences: false)
    return parts[0]
      + parts.dropFirst().map { $0.first == "h" ? host + $0.dropFirst() : "%" + $0 }.joined()
  }

  public init() {}

  /// Reads the words after the plugin's path.
  ///
  /// - Throws: an unknown or malformed argument, quoted
  public init(arguments: [String]) throws(SettingsError) {
    for argument in arguments { try apply(argument) }
  }

  /// The user's own choice for this tunnel, as arguments to append to the site's.
  ///
  /// `SPUNNEL_TRANSPORT` names the way. A wrong value is refused, as in plugstack.conf.
  public static func choice() -> [String] {
    guard let way = Process.environment("SPUNNEL_TRANSPORT"), !way.isEmpty else { return [] }
    return ["transport=\(way)"]
  }

  private mutating func apply(_ argument: String) throws(SettingsError) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let (key, value) = (String(parts[0]), parts.count == 2 ? String(parts[1]) : nil)
    switch (key, value) {
    case ("ssh_cmd", let value?): sshCommand = try words(value, of: argument)
    case ("ssh_args", let value?), ("args", let value?):
      sshArguments = try words(value, of: argument)
    case ("state_dir", let value?):
      guard value.hasPrefix("/") else {
        throw .malformed(argument, "an absolute path, as in state_dir=/var/tmp")
      }
      stateDirectory = value
    case ("timeout", let value?):
      guard let seconds = wholeNumber(value), (1...3600).contains(seconds) else {
        throw .malformed(argument, "whole seconds from 1 to 3600, as in timeout=15")
      }
      timeout = seconds
    case ("access", let value?):
      guard let value = Access(rawValue: value) else {
        throw .malformed(argument, "access=owner, access=owner+root or access=host")
      }
      access = value
    case ("targets", let value?):
      guard let value = Targets(rawValue: value) else {
        throw .malformed(argument, "targets=job or targets=any")
      }
      targets = value
    case ("wait", let value?):
      guard ["yes", "no"].contains(value) else { throw .malformed(argument, "wait=yes or wait=no") }
      wait = value == "yes"
    case ("transport", let value?):
      guard let value = Transport(rawValue: value) else {
        throw .malformed(argument, "transport=auto, transport=ssh or transport=srun")
      }
      transport = value
    case ("syslog", let value?):
      let facility = SystemLog.Facility(rawValue: value)
      guard facility != nil || value == "off" else {
        throw .malformed(
          argument, "syslog=off, or a facility: user, daemon, auth, authpriv or local0 to local7")
      }
      syslog = facility
    case ("poll", let value?):
      guard let seconds = wholeNumber(value), (1...600).contains(seconds) else {
        throw .malformed(argument, "whole seconds from 1 to 600, as in poll=4")
      }
      poll = seconds
    case ("login_host", let value?):
      // The name becomes an argument of ssh, so it must not begin with a dash.
      guard HostName(Settings.loginName(value, on: "h")) != nil else {
        throw .malformed(
          argument, "the name by which users log in to this host, as in login_host=%h.example.org")
      }
      loginHost = value
    // The plugin itself reads this argument.
    case ("login_env", let value?):
      guard ["yes", "no"].contains(value) else {
        throw .malformed(argument, "login_env=yes or login_env=no")
      }
    case ("quiet", nil): quiet = true
    case ("quiet", _): throw .malformed(argument, "quiet alone")
    case ("ssh_cmd", nil), ("ssh_args", nil), ("args", nil), ("state_dir", nil), ("timeout", nil),
      ("access", nil), ("targets", nil), ("wait", nil), ("transport", nil), ("syslog", nil),
      ("poll", nil), ("login_host", nil), ("login_env", nil):
      throw .malformed(argument, "\(key)=<value>")
    default: throw .unknown(argument)
    }
  }

  /// Splits at `|`, because plugstack.conf itself splits at spaces.
  private func words(_ value: String, of argument: String) throws(SettingsError) -> [String] {
    let words = value.split(separator: "|").map(String.init)
    if words.isEmpty { throw .malformed(argument, "words separated by |") }
    return words
  }
}

/// Why an argument in plugstack.conf was refused.
public enum SettingsError: Error, Equatable, Sendable, CustomStringConvertible {
  case unknown(String)
  /// The argument, and what to write instead.
  case malformed(String, String)

  public var description: String {
    switch self {
    case .unknown(let argument):
      "unknown argument '\(printable(argument))': there are ssh_cmd=, ssh_args=, state_dir=, "
        + "timeout=, access=, targets=, transport=, wait=, login_host=, syslog=, poll= and quiet"
    case .malformed(let argument, let wanted):
      "malformed argument '\(printable(argument))': write \(wanted)"
    }
  }
}
