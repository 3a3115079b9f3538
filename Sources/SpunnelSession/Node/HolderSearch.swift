// Finds a session on its node: the holder is a process of this user's that works in the runtime directory.

import Glibc
import SpunnelSystem

enum HolderSearch {
  /// The running holders of this user's, by job.
  ///
  /// No name in /tmp is looked up, so nobody else can offer a directory of his own: only processes of this
  /// user count, and /proc says where they work.
  static func directories() -> [(job: String, process: pid_t, path: String)] {
    ProcessTable.own().compactMap { process in
      guard process.arguments.count > 1, process.arguments[1] == NodeProgram.hold,
        process.arguments[0].hasSuffix("/spunnel-session"),
        let job = job(of: process),
        let path = try? Directory.open("/proc/\(process.id)").target(of: "cwd")
      else { return nil }
      return (job, process.id, path)
    }
  }

  /// The record of the job's session.
  ///
  /// - Parameter patience: milliseconds that a session may take to start
  static func record(job: String, patience: Int) -> SessionRecord? {
    let began = Clock.milliseconds()
    while true {
      for found in directories() where found.job == job {
        if let directory = try? Directory.open(found.path),
          let record = SessionRecord(in: directory), record.path == found.path
        {
          return record
        }
      }
      let waited = Clock.milliseconds() - began
      if waited > patience { return nil }
      // A look costs a walk through /proc.
      usleep(waited < 1000 ? 10_000 : 200_000)
    }
  }

  private static func job(of process: ProcessEntry) -> String? {
    let name = "SLURM_JOB_ID="
    return process.environment.first { $0.hasPrefix(name) }.map { String($0.dropFirst(name.count)) }
  }
}
