// Checks of what lies beside the plugin: core, keeper and helpers, there and of one build.

import CBuild
import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem

enum InstallationChecks {
  private static let group = "installation"
  private static let longestFile = 64 << 20
  /// What each program of Swift's has in it (CBuild).
  private static let mark = "spunnel-build<"

  static func run(_ installation: Installation) -> [Check] {
    var checks = files(installation)
    if checks.allSatisfy(\.isWell) { checks.append(build(installation)) }
    return checks + [helper(installation)]
  }

  private static func files(_ installation: Installation) -> [Check] {
    let programs = ["keeper", "jobs", "sshd", "session", "run", "pool"].map { "spunnel-\($0)" }
    let paths =
      [("the core", installation.libraries + "/libSpunnel.so", R_OK)]
      + programs.map { ($0, installation.program($0), X_OK) }
    return paths.map { name, path, mode in
      if unsafe access(path, mode) == 0 { return .well(group, name, path) }
      let reason = SystemError("open", errno).reason
      return .wrong(group, name, "\(path): \(reason)", "install Spunnel as a whole: make install")
    }
  }

  /// Whether core and keeper are of this command's build: they speak to each other.
  private static func build(_ installation: Installation) -> Check {
    let name = "one build"
    let own = unsafe String(cString: spunnel_build())
    let shown = own.isEmpty ? spunnelVersion : own
    for path in [installation.libraries + "/libSpunnel.so", installation.keeper] {
      guard let build = mark(in: SiteFile.content(of: path, atMost: longestFile) ?? []) else {
        return .wrong(
          group, name, "\(path) is of an older Spunnel, and this command of \(shown)",
          "install all of one build: make install")
      }
      if build != own {
        return .wrong(
          group, name, "\(path) is of '\(printable(build))', and this command of \(shown)",
          "install all of one build: make install")
      }
    }
    return .well(group, name, shown)
  }

  /// What stands between the mark and `>`.
  static func mark(in content: [UInt8]) -> String? {
    let wanted = Array(mark.utf8)
    var rest = content[...]
    while let start = rest.firstIndex(of: wanted[0]) {
      rest = rest[start...]
      if rest.starts(with: wanted) {
        let text = rest.dropFirst(wanted.count).prefix(200).prefix { $0 != UInt8(ascii: ">") }
        return String(decoding: text, as: UTF8.self)
      }
      rest = rest.dropFirst()
    }
    return nil
  }

  /// spunnel-jobs links libslurm: only running it tells whether it can.
  private static func helper(_ installation: Installation) -> Check {
    let name = "spunnel-jobs answers"
    do throws(SlurmError) {
      let found = try SlurmHelper(path: installation.jobs).configuration()
      return .well(group, name, "cluster \(found.cluster), \(found.path)")
    } catch {
      return .wrong(
        group, name, error.description,
        error.kind == .installation
          ? "build it again for the Slurm here: make slurm && make install-slurm"
          : "see whether scontrol show config works")
    }
  }
}
