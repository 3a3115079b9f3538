// What a logout ends, and how a keeper outlives one: systemd-logind's rules and the user's own
// service manager (logind.conf(5), user@.service(5)).

import Glibc
import SpunnelSystem

/// Which of systemd's units a process is in, as far as a logout goes.
enum LoginUnit: Equatable {
  /// A login's own scope, whose remains logind may kill.
  case session
  /// Something of the user's own service manager, which ends after the last logout, or lingers.
  case manager
  /// Nothing that knows of logins.
  case other

  /// - Parameter groups: `/proc/<pid>/cgroup` (cgroups(7)), of version 1, 2 or both
  init(groups: String) {
    self = .other
    for line in groups.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3, fields[1].isEmpty || fields[1] == "name=systemd" else { continue }
      let unit = fields[2].split(separator: "/").first { !$0.hasSuffix(".slice") } ?? ""
      if unit.hasPrefix("session-") && unit.hasSuffix(".scope") { self = .session }
      if unit.hasPrefix("user@") && unit.hasSuffix(".service") { self = .manager }
    }
  }

  /// - Parameter process: its number, or `self`
  init(of process: String) {
    do throws(SystemError) {
      let file = try FileDescriptor.open("/proc/\(process)/cgroup", O_RDONLY)
      self.init(groups: String(decoding: try file.read(atMost: 65536) ?? [], as: UTF8.self))
    } catch { self = .other }
  }
}

/// Whose remains logind kills when a login ends.
struct LogoutRules: Equatable {
  static let properties = ["KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers"]

  private let kills: Bool
  private let only: [String]
  private let excluded: [String]

  /// - Parameter answer: busctl's, about `properties`; `nil` when it is none
  init?(_ answer: String) {
    let lines = answer.split(separator: "\n")
    guard lines.count == 3, lines[0] == "b true" || lines[0] == "b false" else { return nil }
    kills = lines[0] == "b true"
    only = LogoutRules.names(lines[1])
    excluded = LogoutRules.names(lines[2])
  }

  /// `root` and `adm` of `as 2 "root" "adm"`.
  private static func names(_ line: Substring) -> [String] {
    line.split(separator: " ").dropFirst(2).map { $0.filter { $0 != "\"" } }
  }

  /// As logind itself decides.
  func kills(_ user: String) -> Bool {
    kills && !excluded.contains(user) && (only.isEmpty || only.contains(user))
  }
}

/// What the next logout means for a keeper that is to outlive it.
public struct Logout: Equatable, Sendable {
  /// When the keeper will be gone before its job.
  public enum Danger: Equatable, Sendable {
    /// After the user's last logout, unless he lets his service manager linger.
    case lastLogout
    /// With the login that it was started in; why no service manager has it, where that is known.
    case logout(String?)
  }

  /// Words in front of the keeper's own that start it where it outlives the login.
  let launcher: [String]
  public let danger: Danger?

  /// For a keeper that is about to be started. Asks nobody outside of a login of systemd's.
  ///
  /// - Parameter job: for whoever looks at his service manager's units
  public static func ahead(of job: UInt32) -> Logout {
    let unit = LoginUnit(of: "self")
    let isSafe = unit == .other || (unit == .session && !Systemd.killsRemains())
    if isSafe { return Logout(launcher: [], danger: nil) }
    switch Systemd.scope("Spunnel, job \(job)") {
    case .words(let words):
      return Logout(launcher: words, danger: Systemd.lingers() ? nil : .lastLogout)
    case .none(let reason): return Logout(launcher: [], danger: .logout(reason))
    }
  }

  /// What threatens a keeper that runs already.
  public static func danger(to keeper: Int) -> Danger? {
    switch LoginUnit(of: "\(keeper)") {
    case .session: Systemd.killsRemains() ? .logout(nil) : nil
    case .manager: Systemd.lingers() ? nil : .lastLogout
    case .other: nil
    }
  }
}

extension Logout.Danger {
  /// The line that the user gets: how long the tunnel is there, and what to do.
  ///
  /// - Parameter spec: what was asked for
  public func line(_ job: UInt32, _ spec: TunnelSpec) -> String {
    let again = "spunnelctl open \(job) \(spec) after your next login"
    let until = "job \(job) has its tunnel until you log out: "
    let rule = "\(Host.name) ends what you leave behind"
    switch self {
    case .lastLogout:
      let advice = "type loginctl enable-linger to keep it, or \(again)"
      return until + rule + " (logind, without linger): \(advice)"
    case .logout(let reason):
      let manager = reason.map { ", and your service manager cannot keep it (\($0))" } ?? ""
      return until + rule + " (logind's KillUserProcesses)\(manager): type \(again)"
    }
  }
}

/// systemd's own commands, found on `PATH`: the core speaks no D-Bus.
private enum Systemd {
  /// The longest wait for one of them, in milliseconds.
  private static let patience = 2000
  private static let login = ["get-property", "org.freedesktop.login1"]

  enum Scope {
    case words([String])
    /// Why there is none.
    case none(String)
  }

  /// Whether logind kills what this user leaves behind. One that does not answer kills nobody.
  static func killsRemains() -> Bool {
    let words = ["/org/freedesktop/login1", "org.freedesktop.login1.Manager"]
    guard let answer = ask("busctl", login + words + LogoutRules.properties), answer.succeeded,
      let rules = LogoutRules(answer.output)
    else { return false }
    return rules.kills(Host.userName)
  }

  /// Whether this user's service manager runs on without a login of his.
  static func lingers() -> Bool {
    let path = "/org/freedesktop/login1/user/_\(getuid())"
    let answer = ask("busctl", login + [path, "org.freedesktop.login1.User", "Linger"])
    return answer?.succeeded == true && answer?.output == "b true\n"
  }

  /// The words that start a command in a scope of the user's service manager, under its own
  /// process id and with all of its descriptors.
  static func scope(_ description: String) -> Scope {
    guard let run = Program.find("systemd-run") else { return .none("systemd-run: not found") }
    // Often taken away, as Jupyter once could not cope with it; the place is known (pam_systemd(8)).
    if Process.environment("XDG_RUNTIME_DIR") == nil {
      Process.setEnvironment("XDG_RUNTIME_DIR", "/run/user/\(getuid())")
    }
    // Asked before a keeper is left to systemd-run, which waits for ever and has nobody to tell.
    guard let answer = ask("systemctl", ["--user", "show", "--property=Version"]) else {
      return .none("systemctl: not found")
    }
    if !answer.succeeded {
      return .none(answer.output.isEmpty ? "it does not answer" : printable(answer.lastLine))
    }
    let options = ["--user", "--scope", "--quiet", "--collect", "--description=\(description)"]
    return .words([run] + options + ["--"])
  }

  /// - Returns: `nil` when there is no such program
  private static func ask(_ name: String, _ words: [String]) -> ProgramResult? {
    guard let path = Program.find(name) else { return nil }
    let program = Program(path, words, environment: Process.environment())
    return try? program.capture(milliseconds: patience)
  }
}
