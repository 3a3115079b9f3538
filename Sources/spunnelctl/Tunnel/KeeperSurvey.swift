// Asks many keepers at once, with one time limit for all of them.

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

enum KeeperSurvey {
  enum Answer {
    case report(KeeperReport)
    /// The keeper could not be asked.
    case failure(RecordError)
    /// The keeper ended without an answer, or the time ran out.
    case silence
    /// The keeper had ended before.
    case none
  }

  /// The most connections that are open at once: far fewer than the usual limit of descriptors.
  private static let width = 200
  /// The longest answer, in bytes: a forward or a reason. All answers are kept, and another user
  /// may have written them.
  private static let longest = 4096

  /// A connection in a list; the list needs a copyable type.
  private final class Question {
    let index: Int
    var connection: KeeperConnection

    init(_ index: Int, _ connection: consuming KeeperConnection) {
      self.index = index
      self.connection = connection
    }
  }

  /// Asks the keepers of one user. A slow keeper of another user does not take their time.
  ///
  /// - Parameter milliseconds: the time limit for the keepers that are asked at once
  /// - Returns: the answers, in the order of the tunnels
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
      // Each connection is closed after its first report; later reports are not read.
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
  /// The tunnels grouped by owner, in the order in which the owners appear.
  var byOwner: [[RecordView]] {
    var owners: [uid_t] = []
    let parts = Dictionary(grouping: self, by: \.user)
    for view in self where owners.last != view.user && !owners.contains(view.user) {
      owners.append(view.user)
    }
    return owners.compactMap { parts[$0] }
  }
}
