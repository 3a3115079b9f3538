// Why a pool hands out nothing more, and what its exit status is then.

import Glibc

/// The reason for which a pool ends before its last task.
package enum Closing: Equatable, Sendable {
  /// Less is left of the job than `--task-time`.
  case outOfTime
  /// The pool was told to end.
  case signal(CInt)
  /// The log, the list of tasks, or the last node is lost.
  case failure(String)

  /// Whether tasks that fail from now on fail because of it.
  var interruptsTasks: Bool { if case .signal = self { true } else { false } }

  package var status: Int {
    switch self {
    case .outOfTime: 124
    case .signal(let number): 128 + Int(number)
    case .failure: 125
    }
  }

  package var words: String {
    switch self {
    case .outOfTime: "less time is left to the job than --task-time"
    case .signal(SIGINT): "the pool was interrupted"
    case .signal(let number): "the pool was told to end by signal \(number)"
    case .failure(let words): words
    }
  }
}
