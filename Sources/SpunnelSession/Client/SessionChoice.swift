// Which session is meant: the one named, the only one that runs, the one that waits longest, or a new one.

import SpunnelSlurm

/// What to do, decided from the user's sessions alone.
package enum SessionChoice: Equatable, Sendable {
  case attach(SessionJob)
  /// Of several that run, the one that was attached last.
  case attachOfSeveral(SessionJob)
  case wait(SessionJob)
  case several([SessionJob])
  case new

  /// - Parameters:
  ///   - sessions: the user's, of all kinds
  ///   - kind: the one that is wanted, `nil` for any
  ///   - hasTerminal: whether the user can see which one is taken, and leave it
  package static func choose(
    among sessions: [SessionJob], kind: String?, hasTerminal: Bool
  ) -> SessionChoice {
    let fitting = sessions.filter { kind == nil || $0.kind == kind }
      .sorted(by: SessionJob.precedes)
    let running = fitting.filter { $0.phase == .running }
    if running.count == 1 { return .attach(running[0]) }
    if running.count > 1 {
      guard hasTerminal else { return .several(running) }
      // Of those that nobody has attached to yet, the newest.
      let last = running.enumerated().max {
        ($0.element.lastAttached, $0.offset) < ($1.element.lastAttached, $1.offset)
      }
      return last.map { .attachOfSeveral($0.element) } ?? .several(running)
    }
    return fitting.first { $0.phase == .pending }.map { .wait($0) } ?? .new
  }

  /// The session that a word names: a job's number or a job's name.
  ///
  /// - Returns: those that it may mean; a number means one at the most
  package static func named(_ word: String, among sessions: [SessionJob]) -> [SessionJob] {
    let alive = sessions.filter { $0.phase != .over }.sorted(by: SessionJob.precedes)
    let number = alive.filter { $0.id == word }
    if !number.isEmpty || isJobNumber(word) { return number }
    let running = alive.filter { $0.name == word && $0.phase == .running }
    return running.isEmpty ? alive.filter { $0.name == word } : running
  }

  /// Whether a word can only be a job's number, as in 12, 12_3 or 12+1.
  package static func isJobNumber(_ word: String) -> Bool {
    let digits = word.split(
      omittingEmptySubsequences: false, whereSeparator: { $0 == "_" || $0 == "+" })
    return digits.count <= 2
      && digits.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { 0x30...0x39 ~= $0 } }
  }
}
