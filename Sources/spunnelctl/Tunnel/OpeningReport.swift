// `spunnelctl open`: the state of the forwards that it requested.

import SpunnelCLI
import SpunnelSlurm
import SpunnelTunnel

/// One result of `spunnelctl open`.
struct OpeningReport: Report {
  enum Stage: Equatable, Sendable {
    /// The job has not started. The submit ends are held.
    case waiting(TunnelSpec)
    case up([Forward])
    /// Something happened to forwards that stay open.
    case news(KeeperNews)
    /// The tunnel is over, with the reason.
    case over(String)
  }

  private let step: StepName
  private let stage: Stage
  private let host: String

  /// - Parameter host: the name by which users log in to this host
  init(_ step: StepName, _ stage: Stage, through host: String) {
    self.step = step
    self.stage = stage
    self.host = host
  }

  var text: String {
    switch stage {
    case .waiting(let spec):
      (spec.forwards.map { $0.promise(step.job) }
        + ownComputer(Announcement(held: spec, step, through: host)))
        .joined(separator: "\n")
    case .up(let forwards):
      lines(Announcement(forwards, through: host)).joined(separator: "\n")
    case .news, .over: ""
    }
  }

  private func lines(_ announcement: Announcement) -> [String] {
    announcement.forwards + ownComputer(announcement)
  }

  private func ownComputer(_ announcement: Announcement) -> [String] {
    announcement.command.map { ["on your own computer: \($0)"] } ?? []
  }

  var object: JSON {
    var (state, reason): (String, String?) = ("up", nil)
    var (forwards, waiting): ([Forward], [String]?) = ([], nil)
    switch stage {
    case .waiting(let spec): (state, waiting) = ("waiting", spec.forwards.map(\.description))
    case .up(let list): forwards = list
    case .news(let news): (state, reason) = (news.kind.rawValue, news.text)
    case .over(let why): (state, reason) = ("over", why)
    }
    return JSON([
      "job": .number(Int(step.job)), "step": .string(step.stepLabel), "state": .string(state),
      "forwards": .array(forwards.map { $0.json() }), "waiting": waiting.map { .strings($0) },
      "command": .string(Announcement(forwards, through: host).command), "reason": .string(reason),
    ])
  }
}
