// Checks of this host: where records go, what logouts end, limits, and what old tunnels have left.

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

enum HostChecks {
  private static let group = "this host"
  /// A keeper holds some descriptors a connection.
  private static let fewestFiles = 1024
  private static let fewestProcesses = 64

  static func run(_ settings: Settings) -> [Check] {
    [
      stateDirectory(settings), mounts(SiteFileText.read("/etc/fuse.conf")),
      lookup(settings), logout(Logout.ahead(of: 0).danger),
      limit("open files", hardLimit(RLIMIT_NOFILE.rawValue), fewestFiles, "nofile"),
      limit("processes", softLimit(__RLIMIT_NPROC.rawValue), fewestProcesses, "nproc"),
      loopback(), records(settings),
    ]
  }

  private static func stateDirectory(_ settings: Settings) -> Check {
    let (name, base) = ("place for records", settings.stateDirectory)
    do throws(RecordError) { try StateDirectory.verify(in: base, user: getuid()) } catch {
      return .wrong(
        group, name, "\(error)", "mend '\(base)', or set another state_dir= in plugstack.conf")
    }
    return .well(group, name, "\(base), which no other user can change")
  }

  /// - Parameter content: of /etc/fuse.conf, `nil` where there is none
  static func mounts(_ content: String?) -> Check {
    let name = "mounts of users"
    let allows = (content ?? "").split(separator: "\n").contains {
      $0.drop { $0 == " " || $0 == "\t" }.hasPrefix("user_allow_other")
    }
    return allows
      ? .well(group, name, "user_allow_other is set; Spunnel crosses no mount in \"/tmp\"")
      : .well(group, name, "users cannot show their mounts to others")
  }

  private static func lookup(_ settings: Settings) -> Check {
    let name = "owner of a connection"
    if settings.access == .host {
      return .absent(group, name, "access=host: every user of this host may connect")
    }
    do throws(SystemError) { try PeerLookup.verify() } catch {
      return .wrong(
        group, name, "\(error)", "modprobe tcp_diag, and list it in /etc/modules-load.d")
    }
    return .well(group, name, "the kernel tells it (tcp_diag)")
  }

  static func logout(_ danger: Logout.Danger?) -> Check {
    let name = "tunnels after logout"
    switch danger {
    case nil: return .well(group, name, "they stay")
    case .lastLogout:
      return .wrong(
        group, name, "logind ends them after your last logout, as you do not linger",
        "loginctl enable-linger")
    case .logout(let reason):
      return .wrong(
        group, name,
        "logind ends them with this login (KillUserProcesses)" + (reason.map { ": \($0)" } ?? ""),
        "give users service managers (user@.service), or set KillUserProcesses=no in logind.conf")
    }
  }

  static func limit(_ what: String, _ limit: Int?, _ fewest: Int, _ item: String) -> Check {
    let name = "limit of \(what)"
    guard let limit else { return .well(group, name, "none") }
    if limit >= fewest { return .well(group, name, "\(limit)") }
    return .wrong(
      group, name, "\(limit), and \(fewest) are needed",
      "raise \(item) in /etc/security/limits.conf, and log in again")
  }

  private static func hardLimit(_ resource: UInt32) -> Int? { limits(resource)?.hard }
  private static func softLimit(_ resource: UInt32) -> Int? { limits(resource)?.soft }

  /// `nil` for no limit.
  private static func limits(_ resource: UInt32) -> (soft: Int?, hard: Int?)? {
    var found = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(resource), &found) == 0 else { return nil }
    func value(_ limit: rlim_t) -> Int? { limit == rlim_t.max ? nil : Int(clamping: limit) }
    return (value(found.rlim_cur), value(found.rlim_max))
  }

  private static func loopback() -> Check {
    let name = "free ports"
    for loopback in Loopback.allCases where (try? Socket.listen(loopback, port: 0)) != nil {
      return .well(group, name, "this host has some on \(loopback.name)")
    }
    return .wrong(
      group, name, "no port of localhost is free", "see ss -tan, and net.ipv4.ip_local_port_range")
  }

  private static func records(_ settings: Settings) -> Check {
    let name = "left over records"
    do throws(RecordError) {
      let stale = try RecordView.all(in: settings.stateDirectory, user: getuid()).filter {
        $0.state == .stale
      }
      if stale.isEmpty { return .well(group, name, "none of yours") }
      let jobs = stale.prefix(5).map { "\($0.step.job).\($0.step.stepLabel)" }
      return .wrong(
        group, name, "\(stale.count) of tunnels that crashed: \(jobs.joined(separator: ", "))",
        "spunnelctl clean")
    } catch {
      return .wrong(group, name, "\(error)", "see spunnelctl status")
    }
  }
}

/// A file's content as text.
enum SiteFileText {
  static func read(_ path: String) -> String? {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY)
      return String(
        decoding: try file.content(expecting: file.size(), atMost: 1 << 20), as: UTF8.self)
    } catch { return nil }
  }
}
