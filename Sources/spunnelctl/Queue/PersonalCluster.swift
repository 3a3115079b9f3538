// The user's own Slurm, for --personal, and for machines that have no other.

import Glibc
import SpunnelCLI
import SpunnelCluster
import SpunnelSlurm
import SpunnelSystem

enum PersonalCluster {
  /// What makes a Slurm on a machine that has none.
  static let advice =
    "is there a Slurm here? spunnelctl cluster up makes one of your own, as submit --personal does"

  /// Brings the cluster up, unless it is, and tells what commands need to mean it.
  static func environment() throws(CommandError) -> [ByteString] {
    if let environment = current { return environment }
    guard let own = Host.executable else {
      throw .failure("submit: /proc does not tell where spunnelctl is")
    }
    let up = Program(own, ["cluster", "up"], environment: Process.environment())
    let result: ProgramResult
    do throws(SystemError) { result = try up.capture(milliseconds: 120_000) } catch {
      throw .failure("submit: spunnelctl cluster up: \(error)")
    }
    if !result.succeeded { throw .failure("submit: \(printable(result.lastLine))") }
    if let environment = current { return environment }
    throw .failure("submit: the cluster ended at once: type spunnelctl cluster status")
  }

  /// The environment of the cluster that is up; `nil`: none is.
  private static var current: [ByteString]? {
    guard let change = try? Cluster(.standard, in: ClusterHome.current()).environment() else {
      return nil
    }
    return change.applied(to: Process.environment())
  }

  /// The environment of the user's own cluster on a machine that has no Slurm besides.
  ///
  /// - Returns: `nil` for the process's own environment
  static func standIn(_ helper: SlurmHelper) -> [ByteString]? {
    if hasSite { return nil }
    guard let environment = current else { return nil }
    // A Slurm can be configured elsewhere, or by DNS, as its library knows.
    return (try? helper.configuration()) == nil ? environment : nil
  }

  /// Whether it is plain that this machine has a Slurm.
  static var hasSite: Bool {
    for name in ["SLURM_CONF", "SLURM_CONF_SERVER"] {
      if let value = Process.environment(name), !value.isEmpty { return true }
    }
    let places: [String] = [
      "/etc/slurm/slurm.conf", "/run/slurm/conf/slurm.conf", "/etc/slurm-llnl/slurm.conf",
      "/usr/local/etc/slurm.conf",
    ]
    return places.contains { path in unsafe access(path, F_OK) == 0 }
  }
}
