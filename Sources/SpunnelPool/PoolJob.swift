// A pool as a batch job: the input of sbatch.

import Glibc
import SpunnelSystem

/// A pool that will be submitted.
package struct PoolJob: Sendable {
  package let options: PoolOptions
  /// The path of `spunnel-pool`, the same on all nodes.
  package let program: String

  package init(_ options: PoolOptions, program: String) {
    self.options = options
    self.program = program
  }

  /// sbatch's options, before the user's own. A node that dies does not end the job, and a requeue
  /// keeps the output of the earlier run.
  package static let sbatchOptions = ["--no-kill", "--open-mode=append"]

  /// The batch script, for sbatch's standard input. The shell executes the coordinator in its
  /// place, so that the coordinator gets the job's signals and gives the job's exit status.
  package var script: String {
    "#!/bin/sh\nexec \(([program] + options.words).map(shellQuoted).joined(separator: " "))\n"
  }

  /// Checks what the coordinator would refuse, so that the user learns it before the job waits in
  /// the queue. Relative paths start at the current directory.
  ///
  /// - Throws: `PoolUsageError`, `TaskFileError` or `JobLogError`
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
