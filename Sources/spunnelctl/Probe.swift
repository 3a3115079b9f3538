// status --probe: has the keepers find out, all at once, whether anything listens at the far ends.

import Glibc
import Spunnel
import SpunnelSystem

enum Probe {
  /// Milliseconds that all of them have together: a service that is slow to accept takes one second.
  private static let patience = 10_000

  /// A connection that can stand in a list.
  private final class Question {
    let step: StepName
    var connection: KeeperConnection

    init(_ step: StepName, _ connection: consuming KeeperConnection) {
      self.step = step
      self.connection = connection
    }
  }

  /// Asks, and waits for the answers; then the records tell.
  ///
  /// - Returns: lines on keepers that gave none
  static func run(_ views: [RecordView], in stateDirectory: String) -> [String] {
    var problems: [String] = []
    var questions: [Question] = []
    for view in views where view.status.state != .stale {
      do throws(RecordError) {
        let connection = try KeeperConnection.ask(
          .probe, of: view.step, in: stateDirectory, user: view.user)
        // One that ended meanwhile has no far end any more.
        if let connection { questions.append(Question(view.step, connection)) }
      } catch { problems.append("probe step \(view.step): \(error)") }
    }
    let deadline = Clock.milliseconds() + patience
    for question in questions {
      let left = max(1, deadline - Clock.milliseconds())
      if question.connection.next(milliseconds: left) == nil {
        problems.append("probe step \(question.step): its keeper gave no answer")
      }
    }
    return problems
  }
}
