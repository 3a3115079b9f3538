// Where slurm.conf usually is, for whoever must start no process to find out.

import Glibc
import SpunnelSystem

package enum UsualConfiguration {
  private static let places = ["/etc/slurm/slurm.conf", "/run/slurm/conf/slurm.conf"]

  /// The path of slurm.conf: as `SLURM_CONF` names it, else in one of the usual places.
  ///
  /// - Returns: `nil` where there is none: a Slurm that was built for another folder has its own
  package static var path: String? {
    let named = Process.environment("SLURM_CONF").flatMap { $0.contains("/") ? $0 : nil }
    return ([named].compactMap { $0 } + places).first { unsafe access($0, R_OK) == 0 }
  }
}
