// Asks Slurm for the user's sessions.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// Questions about sessions, by way of spunnel-jobs.
package struct SessionQuery: Sendable {
  private let slurm: SlurmHelper

  /// - Parameter programs: where spunnel-jobs is
  package init(_ programs: SessionPrograms) {
    slurm = SlurmHelper(path: programs.folder + "/spunnel-jobs")
  }

  /// The user's sessions that are not over.
  package func all() throws(SlurmError) -> [SessionJob] {
    try slurm.jobs(.user(getuid())).compactMap { SessionJob($0) }.filter { $0.phase != .over }
      .sorted(by: SessionJob.precedes)
  }

  /// One session, also when it is over.
  ///
  /// - Returns: `nil` when Slurm does not know it, or it is another user's
  package func one(_ job: String) throws(SlurmError) -> SessionJob? {
    guard let number = UInt32(job.prefix { $0.isNumber }) else { return nil }
    return try slurm.jobs(.jobs([number])).filter { $0.user == getuid() }
      .compactMap { SessionJob($0) }.first { $0.id == job }
  }

  /// The place of a job among those that wait for the same partition, `nil` when Slurm does not tell.
  package func place(of session: SessionJob) -> (place: Int, waiting: Int)? {
    var waiting: [(priority: Int, number: Int, isMeant: Bool)] = []
    let columns = ["id", "phase", "partition", "priority"]
    do throws(SlurmError) {
      try slurm.eachJob(.all, columns: columns) { record in
        guard record.text("phase") == "pending", record.text("partition") == session.partition,
          let number = record.number("id")
        else { return }
        waiting.append((record.number("priority") ?? 0, number, String(number) == session.id))
      }
    } catch { return nil }
    waiting.sort { ($1.priority, $0.number) < ($0.priority, $1.number) }
    return waiting.firstIndex { $0.isMeant }.map { ($0 + 1, waiting.count) }
  }
}
