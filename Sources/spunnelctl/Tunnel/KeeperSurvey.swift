// One question to many keepers at once: none is waited for longer than all of them.

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

enum KeeperSurvey {
  enum Answer {
    case report(KeeperReport)
    /// It could not be asked.
    case failure(RecordError)
    /// It ended at that, or the time was over.
    case silence
    /// It has ended before.
    case none
  }

  /// Connections that are open at once: many less than descriptors.
  private static let width = 200
  /// Bytes of an answer: a forward, or a reason. All answers are kept, and they may be a stranger's.
  private static let longest = 4096

  /// A connection that can stand in a list.
  private final class Question {
    let index: Int
    var connection: KeeperConnection

    init(_ index: Int, _ connection: consuming KeeperConnection) {
      self.index = index
      self.connection = connection
    }
  }

  /// Asks one user's keepers: another's who are slow have time of their own.
  ///
  /// - Parameter milliseconds: that those have together who are asked at once
  /// - Returns: their answers, in the order of the tunnels
  static func ask(
    _ command: KeeperCommand, of tunnels: [RecordView], in directory: String, milliseconds: Int
  ) -> [Answer] {
    var answers = [Answer](repeating: .none, count: tunnels.count)
    for start in stride(from: 0, to: tunnels.count, by: width) {
      var questions: [Question] = []
      for index in start..<min(start + width, tunnels.count) {
        let tunnel = tunnels[index]
        do throws(RecordError) {
          let connection = try KeeperConnection.ask(
            command, of: tunnel.step, in: directory, user: tunnel.user, atMost: longest)
          if let connection { questions.append(Question(index, connection)) }
        } catch { answers[index] = .failure(error) }
      }
      let deadline = Clock.milliseconds() + milliseconds
      // Each is closed when it is answered, with what else was said.
      while let question = questions.popLast() {
        let left = max(1, deadline - Clock.milliseconds())
        let report = question.connection.next(milliseconds: left)
        answers[question.index] = report.map { .report($0) } ?? .silence
      }
    }
    return answers
  }
}

extension [RecordView] {
  /// Each user's own, the users in the order in which they come.
  var byOwner: [[RecordView]] {
    var owners: [uid_t] = []
    let parts = Dictionary(grouping: self, by: \.user)
    for view in self where owners.last != view.user && !owners.contains(view.user) {
      owners.append(view.user)
    }
    return owners.compactMap { parts[$0] }
  }
}
