// How a job ended, as the exit status of a command that waits for it.

import SpunnelSlurm

/// The status of a job that is over.
package enum JobStatus: Equatable, Sendable {
  /// The job ended by itself, with this exit code.
  case exited(Int)
  /// A signal killed the job.
  case killed(signal: Int)
  /// The job reached its time limit or its deadline.
  case outOfTime
  case outOfMemory
  case cancelled
  /// The job did not start, for example because its output file or program is missing or a prolog
  /// failed.
  case notStarted(String)
  /// The status is unknown, with the reason.
  case unknown(String)

  /// - Parameter job: a job that is over
  package init(_ job: JobInfo) { self.init(job.state, exit: job.exit ?? 0, reason: job.reason) }

  /// - Parameters:
  ///   - state: Slurm's word
  ///   - exit: as wait(2) tells it
  ///   - reason: Slurm's word for it
  package init(_ state: String, exit: Int, reason: String) {
    switch state {
    case "COMPLETED": self = JobStatus(wait: exit)
    case "CANCELLED": self = .cancelled
    case "TIMEOUT", "DEADLINE": self = .outOfTime
    case "OUT_OF_MEMORY": self = .outOfMemory
    case "BOOT_FAIL": self = .notStarted("BOOT_FAIL")
    case "FAILED":
      // slurmstepd uses this signal number to report that it could not open the job's files.
      if exit & 0x7f == JobStatus.filesFailed {
        self = .notStarted("its output or input file cannot be opened")
      } else if exit == 0 {
        self = .notStarted(reason.isEmpty ? "FAILED" : reason)
      } else {
        self = JobStatus(wait: exit)
      }
    default: self = .unknown(state)
    }
  }

  private static let filesFailed = 53

  /// - Parameter status: a status as wait(2) returns it
  package init(wait status: Int) {
    let signal = status & 0x7f
    self = signal != 0 ? .killed(signal: signal) : .exited((status >> 8) & 0xff)
  }

  /// The exit status for a command that waits for the job.
  package var code: Int {
    switch self {
    case .exited(let code): code
    case .killed(let signal): 128 + signal
    case .outOfTime: 124
    case .outOfMemory: 137
    case .cancelled: 130
    case .notStarted: 126
    case .unknown: 125
    }
  }

  /// The status in words: `exit status 3`.
  package var words: String {
    switch self {
    case .exited(let code): "exit status \(code)"
    case .killed(let signal): "killed by signal \(signal)"
    case .outOfTime: "its time limit was reached"
    case .outOfMemory: "it used more memory than it had"
    case .cancelled: "it was cancelled"
    case .notStarted(let why): "it could not start: \(why)"
    case .unknown(let why): "its status is not known: \(why)"
    }
  }
}
