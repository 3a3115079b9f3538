// Why a pool starts no more tasks, and the exit status that follows.

import Glibc

/// The reason why a pool ends before its last task.
package enum Closing: Equatable, Sendable {
  /// The job has less time left than `--task-time`.
  case outOfTime
  /// A signal told the pool to end.
  case signal(CInt)
  /// The log, the list of tasks or the last node is lost.
  case failure(String)

  /// Whether a task that fails from now on may fail because of this reason.
  var interruptsTasks: Bool { if case .signal = self { true } else { false } }

  /// The exit status of the pool.
  package var status: Int {
    switch self {
    case .outOfTime: 124
    case .signal(let number): 128 + Int(number)
    case .failure: 125
    }
  }

  /// The reason, in words for the user.
  package var words: String {
    switch self {
    case .outOfTime: "less time is left to the job than --task-time"
    case .signal(SIGINT): "the pool was interrupted"
    case .signal(let number): "the pool was told to end by signal \(number)"
    case .failure(let words): words
    }
  }
}
