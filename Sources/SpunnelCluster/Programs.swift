// Finds the programs that a cluster needs, and names the package of each missing one.

import Glibc
import SpunnelSystem

/// A program that was not found, with its packages.
public struct MissingProgram: Equatable, Sendable {
  public let name: String
  let debian: String
  let fedora: String

  static func description(of programs: [MissingProgram]) -> String {
    let names = programs.map { "\($0.name) (Debian: \($0.debian); Fedora: \($0.fedora))" }
    let debian = packages(programs.map(\.debian))
    let fedora = packages(programs.map(\.fedora))
    return "not found: \(names.joined(separator: ", ")); run apt install \(debian), or dnf install "
      + "\(fedora); a Slurm unpacked elsewhere is found by --slurm-prefix DIR"
  }

  private static func packages(_ names: [String]) -> String {
    var seen: [String] = []
    for name in names where !seen.contains(name) { seen.append(name) }
    return seen.joined(separator: " ")
  }
}

/// The paths of a cluster's programs: the machine's, or those of a Slurm unpacked elsewhere.
public struct Programs: Equatable, Sendable {
  public let munged: String
  public let slurmctld: String
  public let slurmd: String
  public let slurmstepd: String
  public let sinfo: String
  public let squeue: String
  public let scancel: String
  public let scontrol: String
  public let sshd: String
  public let keygen: String
  /// A program that does nothing, for Slurm's `Epilog`.
  public let nothing: String
  /// The folder into which another Slurm was unpacked; `nil` for the machine's own.
  public let prefix: String?

  private static let standardFolders = [
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
  ]

  /// Finds all programs: in the prefix first, then on `PATH`, then in the folders of daemons, which
  /// many users' `PATH` lacks.
  ///
  /// - Parameter prefix: the folder of an unpacked Slurm, or `nil`
  /// - Throws: `missing` with all programs that were not found
  public static func find(prefix: String?) throws(ClusterError) -> Programs {
    var finder = Finder(folders: folders(prefix) + searchPath() + standardFolders)
    let programs = Programs(
      munged: finder.find("munged", "munge", "munge"),
      slurmctld: finder.find("slurmctld", "slurmctld", "slurm-slurmctld"),
      slurmd: finder.find("slurmd", "slurmd", "slurm-slurmd"),
      slurmstepd: finder.find("slurmstepd", "slurmd", "slurm-slurmd"),
      sinfo: finder.find("sinfo", "slurm-client", "slurm"),
      squeue: finder.find("squeue", "slurm-client", "slurm"),
      scancel: finder.find("scancel", "slurm-client", "slurm"),
      scontrol: finder.find("scontrol", "slurm-client", "slurm"),
      sshd: finder.find("sshd", "openssh-server", "openssh-server"),
      keygen: finder.find("ssh-keygen", "openssh-client", "openssh"),
      nothing: finder.find("true", "coreutils", "coreutils"),
      prefix: prefix)
    if !finder.missing.isEmpty { throw .missing(finder.missing) }
    return programs
  }

  private static func searchPath() -> [String] {
    (Process.environment("PATH") ?? "").split(separator: ":").map(String.init)
      .filter { $0.hasPrefix("/") }
  }

  private static func folders(_ prefix: String?) -> [String] {
    guard let prefix else { return [] }
    return ["bin", "sbin", "usr/bin", "usr/sbin"].map { prefix + "/" + $0 }
  }

  private struct Finder {
    let folders: [String]
    var missing: [MissingProgram] = []

    mutating func find(_ name: String, _ debian: String, _ fedora: String) -> String {
      // Debian's packages name Slurm's daemons so. update-alternatives makes the plain names, but
      // it does not run for an unpacked package.
      for candidate in folders.flatMap({ [$0 + "/" + name, $0 + "/" + name + "-wlm"] })
      where unsafe access(candidate, X_OK) == 0 {
        return candidate
      }
      missing.append(MissingProgram(name: name, debian: debian, fedora: fedora))
      return name
    }
  }
}

// MARK: - A Slurm of one's own

extension Programs {
  /// The existing folders of the prefix's programs.
  public var folders: [String] { Programs.folders(prefix).filter(Programs.exists) }

  /// Where the prefix has its shared libraries, for `LD_LIBRARY_PATH`, each once.
  public var libraryFolders: [String] {
    guard let prefix else { return [] }
    let bases = ["lib", "lib64", "usr/lib", "usr/lib64"].map { prefix + "/" + $0 }
    let found = bases.flatMap { base in
      // Debian keeps libraries one folder deeper, named after the machine's architecture.
      let inner = (try? Directory.open(following: base).names().sorted()) ?? []
      return ([base] + inner.map { base + "/" + $0 }).filter(Programs.hasLibrary)
    }
    let plugins = found.flatMap { [$0 + "/slurm-wlm", $0 + "/slurm"] }.filter(Programs.exists)
    return found + plugins.filter { !found.contains($0) }
  }

  /// The folder of Slurm's plugins in the prefix, for `PluginDir`.
  public var pluginFolder: String? {
    libraryFolders.first { Programs.exists($0 + "/auth_munge.so") }
  }

  private static func hasLibrary(_ folder: String) -> Bool {
    let names = (try? Directory.open(following: folder).names()) ?? []
    return names.contains { $0.hasPrefix("lib") && $0.contains(".so") }
  }

  private static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
}
