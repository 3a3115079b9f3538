// If Slurm itself watches a job's memory, it kills the whole job at the limit. The agent kills one
// task before that.

import SpunnelSystem
import Glibc

/// Watches the memory of an agent's tasks.
enum MemoryWatch {
  /// Milliseconds between two measurements.
  static let interval = 500
  /// The share of the limit at which a task is killed. Slurm's own limit is close.
  private static let percent = 95

  struct Victim: Equatable {
    let process: pid_t
    let kilobytes: Int
    /// Kilobytes that all tasks use.
    let total: Int
  }

  /// The task that uses the most memory, if all tasks together use almost all of the limit.
  ///
  /// - Parameters:
  ///   - groups: the leaders of the tasks' process groups
  ///   - limitKilobytes: the memory that all tasks together may use
  /// - Returns: `nil` when the tasks use less
  static func victim(among groups: [pid_t], limitKilobytes: Int) -> Victim? {
    if groups.isEmpty { return nil }
    let usage = residentKilobytes(byGroup: Set(groups))
    let total = usage.values.reduce(0, +)
    guard total * 100 > limitKilobytes * percent,
      let largest = usage.max(by: { $0.value < $1.value })
    else { return nil }
    return Victim(process: largest.key, kilobytes: largest.value, total: total)
  }

  /// Sums `rss` of /proc/PID/stat (proc(5)) over each process group.
  private static func residentKilobytes(byGroup groups: Set<pid_t>) -> [pid_t: Int] {
    var usage: [pid_t: Int] = [:]
    let page = sysconf(CInt(_SC_PAGESIZE)) / 1024
    guard let folder = try? Directory.open(following: "/proc"), let names = try? folder.names()
    else { return [:] }
    for name in names {
      guard let process = pid_t(name), process > 0,
        let file = try? FileDescriptor.open("/proc/\(process)/stat", O_RDONLY),
        let text = try? file.read(atMost: 1024)
      else { continue }
      // The fields begin with the third one: state, ppid, pgrp, …; rss is the 24th of the line.
      let fields = ProcessTable.fields(stat: text)
      guard fields.count > 21, let group = pid_t(fields[2]), groups.contains(group),
        let pages = Int(fields[21])
      else { continue }
      usage[group, default: 0] += pages * page
    }
    return usage
  }
}
