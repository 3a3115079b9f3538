// A pool as a batch job: what sbatch is given.

import Glibc
import SpunnelSystem

/// A pool that is to be submitted.
package struct PoolJob: Sendable {
  package let options: PoolOptions
  /// The path of `spunnel-pool`, the same on all nodes.
  package let program: String

  package init(_ options: PoolOptions, program: String) {
    self.options = options
    self.program = program
  }

  /// Options for sbatch, which the user's own come after: a node that dies does not end the job, and the
  /// output of a run before a requeue is kept.
  package static let sbatchOptions = ["--no-kill", "--open-mode=append"]

  /// The batch script, for sbatch's standard input. The shell becomes the coordinator at once, so that the
  /// coordinator has the job's signals and its exit status.
  package var script: String {
    "#!/bin/sh\nexec \(([program] + options.words).map(shellQuoted).joined(separator: " "))\n"
  }

  /// Looks for what the coordinator would refuse, so that it is said before the job waits in the queue.
  ///
  /// - Throws: `PoolUsageError`, `TaskFileError` or `JobLogError`; the paths count from the current directory
  /// - Returns: the number of tasks
  package func check() throws -> Int {
    try options.check()
    guard options.file != "-" else {
      throw PoolUsageError(
        "read the commands: a job has no standard input: write the commands into a file, and name the file"
      )
    }
    let tasks = try TaskFile(options.file, isNullSeparated: options.isNullSeparated)
    if !options.resumes, let size = try? FileDescriptor.open(options.logPath, O_RDONLY).size(),
      size > 0
    {
      throw JobLogError.exists(options.logPath)
    }
    return tasks.taskCount
  }
}
