// How long a job may still run, as Slurm says now.

import Glibc
import SpunnelSlurm
import SpunnelSystem

enum JobTime {
  /// - Returns: `nil` when there is no limit, or Slurm does not answer
  static func secondsLeft(job: String) -> Int? {
    guard let folder = Host.programFolder, let number = UInt32(job) else { return nil }
    let slurm = SlurmHelper(path: folder + "/spunnel-jobs")
    guard let jobs = try? slurm.jobs(.jobs([number])),
      let found = jobs.first(where: { $0.id == number }), found.limit != .unlimited,
      let end = found.ended
    else { return nil }
    return end - Clock.wallMilliseconds() / 1000
  }
}
