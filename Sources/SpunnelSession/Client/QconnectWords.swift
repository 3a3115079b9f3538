// What qconnect's letters mean: names of jobs, memory, and which job is meant.

import SpunnelSlurm

/// The kinds that qconnect knew, by their word in a job's name.
package enum QconnectKind: String, Sendable, CaseIterable {
  case tmux, gui, vnc

  /// The kind of session here.
  package var session: String {
    switch self {
    case .tmux: "shell"
    case .gui: "gui"
    case .vnc: "desktop"
    }
  }

  /// - Parameter session: a kind of session here
  package init?(session: String) {
    guard let kind = QconnectKind.allCases.first(where: { $0.session == session }) else {
      return nil
    }
    self = kind
  }
}

package enum Qconnect {
  /// The name of a job: `[NAME_][EXE_]int_{tmux,gui,vnc}`.
  package static func jobName(_ name: String?, program: String?, _ kind: QconnectKind) -> String {
    let last = program.map { String($0.split(separator: "/").last ?? "") }
    return ([name, last].compactMap { $0 }.filter { !$0.isEmpty } + ["int", kind.rawValue])
      .joined(separator: "_")
  }

  /// GB as qconnect takes them: `16`, `16G`, `16GB`.
  package static func gigabytes(_ text: String) -> Int? {
    let upper = text.uppercased()
    let digits =
      upper.hasSuffix("GB")
      ? upper.dropLast(2) : upper.hasSuffix("G") ? upper.dropLast() : upper[...]
    guard !digits.isEmpty, digits.utf8.count < 7, digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
      let size = Int(digits), size > 0
    else { return nil }
    return size
  }

  /// Which session is joined without a number: the first of the kind that runs, else one that is queued, else,
  /// where a picture is wanted, any that runs.
  package static func choose(among sessions: [SessionJob], _ kind: QconnectKind) -> SessionJob? {
    let all = sessions.sorted(by: SessionJob.precedes)
    let own = all.filter { $0.kind == kind.session }
    return own.first { $0.phase == .running } ?? own.first { $0.phase == .pending }
      ?? (kind == .tmux ? nil : all.first { $0.phase == .running })
  }

  /// Torque's letter for a state.
  package static func state(_ session: SessionJob) -> String {
    switch session.phase {
    case .pending: isHeld(session) ? "H" : "Q"
    case .running: session.state == "SUSPENDED" ? "S" : "R"
    case .over: session.state == "COMPLETING" ? "E" : "C"
    }
  }

  /// Whether somebody must release the job first.
  package static func isHeld(_ session: SessionJob) -> Bool {
    session.phase == .pending && session.reason.hasPrefix("JobHeld")
  }
}
