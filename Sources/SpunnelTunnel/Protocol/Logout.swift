// What a logout ends, and how a keeper outlives a logout: the rules of systemd-logind and the
// user's service manager (logind.conf(5), user@.service(5)).

import Glibc
import SpunnelSystem

/// The kind of systemd unit that a process belongs to.
enum LoginUnit: Equatable {
  /// The scope of a login. At logout logind may kill every process that is left in it.
  case session
  /// A unit of the user's service manager, which ends after the last logout unless it lingers.
  case manager
  /// A unit that no logout touches.
  case other

  /// - Parameter groups: the content of `/proc/<pid>/cgroup` (cgroups(7)), of version 1, 2 or both
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

  /// - Parameter process: a process id, or `self`
  init(of process: String) {
    do throws(SystemError) {
      let file = try FileDescriptor.open("/proc/\(process)/cgroup", O_RDONLY)
      self.init(groups: String(decoding: try file.read(atMost: 65536) ?? [], as: UTF8.self))
    } catch { self = .other }
  }
}

/// Which users' processes logind kills when a login ends.
struct LogoutRules: Equatable {
  static let properties = ["KillUserProcesses", "KillOnlyUsers", "KillExcludeUsers"]

  private let kills: Bool
  private let only: [String]
  private let excluded: [String]

  /// - Parameter answer: busctl's output about `properties`
  /// - Returns: `nil` when the output has another form
  init?(_ answer: String) {
    let lines = answer.split(separator: "\n")
    guard lines.count == 3, lines[0] == "b true" || lines[0] == "b false" else { return nil }
    kills = lines[0] == "b true"
    only = LogoutRules.names(lines[1])
    excluded = LogoutRules.names(lines[2])
  }

  /// The names in a line of busctl: `root` and `adm` in `as 2 "root" "adm"`.
  private static func names(_ line: Substring) -> [String] {
    line.split(separator: " ").dropFirst(2).map { $0.filter { $0 != "\"" } }
  }

  /// Whether logind kills a user's processes, decided as logind decides.
  func kills(_ user: String) -> Bool {
    kills && !excluded.contains(user) && (only.isEmpty || only.contains(user))
  }
}

/// The effect of the next logout on a keeper that must outlive it.
public struct Logout: Equatable, Sendable {
  /// A logout that ends the keeper before its job ends.
  public enum Danger: Equatable, Sendable {
    /// The keeper ends after the user's last logout, unless the user's service manager lingers.
    case lastLogout
    /// The keeper ends with the login that started it. The text says why the service manager cannot
    /// keep it, where known.
    case logout(String?)
  }

  /// Words that go before the keeper's own and start it where a logout does not end it.
  let launcher: [String]
  /// The logout that will end the keeper all the same; `nil` when none does.
  public let danger: Danger?

  /// Decides how to start a keeper that must outlive this login.
  ///
  /// Asks systemd only if this process belongs to a login or to the user's service manager.
  ///
  /// - Parameter job: the job id, for the description of the user's unit
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

  /// The logout that will end a running keeper; `nil` when none does.
  ///
  /// - Parameter keeper: the process id
  public static func danger(to keeper: Int) -> Danger? {
    switch LoginUnit(of: "\(keeper)") {
    case .session: Systemd.killsRemains() ? .logout(nil) : nil
    case .manager: Systemd.lingers() ? nil : .lastLogout
    case .other: nil
    }
  }
}

extension Logout.Danger {
  /// A line for the user: how long the tunnel stays, and what to do.
  ///
  /// - Parameters:
  ///   - job: the job id
  ///   - spec: the forwards that were asked for
  public func line(_ job: UInt32, _ spec: TunnelSpec) -> String {
    let again = "spunnelctl open \(job) \(shellWord(spec.description)) after your next login"
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

/// Asks systemd through its own commands, found on `PATH`: the core speaks no D-Bus.
private enum Systemd {
  /// The longest wait for one command, in milliseconds.
  private static let patience = 2000
  private static let login = ["get-property", "org.freedesktop.login1"]

  enum Scope {
    case words([String])
    /// The reason why there is no scope.
    case none(String)
  }

  /// Whether logind kills what this user leaves behind. If logind does not answer, it kills
  /// nothing.
  static func killsRemains() -> Bool {
    let words = ["/org/freedesktop/login1", "org.freedesktop.login1.Manager"]
    guard let answer = ask("busctl", login + words + LogoutRules.properties), answer.succeeded,
      let rules = LogoutRules(answer.output)
    else { return false }
    return rules.kills(Host.userName)
  }

  /// Whether this user's service manager runs on after the last logout.
  static func lingers() -> Bool {
    let path = "/org/freedesktop/login1/user/_\(getuid())"
    let answer = ask("busctl", login + [path, "org.freedesktop.login1.User", "Linger"])
    return answer?.succeeded == true && answer?.output == "b true\n"
  }

  /// The words that start a command in a scope of the user's service manager. The command keeps its
  /// process id and all its descriptors.
  static func scope(_ description: String) -> Scope {
    guard let run = Program.find("systemd-run") else { return .none("systemd-run: not found") }
    // Users often unset it, because Jupyter once failed with it. Its value is known
    // (pam_systemd(8)).
    if Process.environment("XDG_RUNTIME_DIR") == nil {
      Process.setEnvironment("XDG_RUNTIME_DIR", "/run/user/\(getuid())")
    }
    // systemctl checks the service manager first: without an answer systemd-run would wait for
    // ever, and the keeper could not report it.
    guard let answer = ask("systemctl", ["--user", "show", "--property=Version"]) else {
      return .none("systemctl: not found")
    }
    if !answer.succeeded {
      return .none(answer.output.isEmpty ? "it does not answer" : printable(answer.lastLine))
    }
    let options = ["--user", "--scope", "--quiet", "--collect", "--description=\(description)"]
    return .words([run] + options + ["--"])
  }

  /// - Returns: `nil` when the program is missing or does not end in time
  private static func ask(_ name: String, _ words: [String]) -> ProgramResult? {
    guard let path = Program.find(name) else { return nil }
    let program = Program(path, words, environment: Process.environment())
    return try? program.capture(milliseconds: patience)
  }
}
