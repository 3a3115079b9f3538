// `spunnelctl status JOB`: everything that is known of a job's tunnels, with their logs.

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

/// The result of `spunnelctl status JOB`.
struct DetailReport: Report {
  /// A tunnel, and the last lines of its log.
  typealias Story = (view: RecordView, log: [LogLine])

  private let stories: [Story]
  private let user: uid_t?
  private let problems: [String]

  /// - Parameters:
  ///   - stories: the tunnels, sorted by job and step
  ///   - user: the owner of the tunnels; `nil` for any user
  ///   - problems: lines about records that could not be read
  init(_ stories: [Story], user: uid_t?, problems: [String] = []) {
    self.stories = stories
    self.user = user
    self.problems = problems
  }

  var text: String {
    if stories.isEmpty {
      return (["no such tunnel on \(Host.name)"] + problems).joined(separator: "\n")
    }
    let names = UserNames(stories.map(\.view))
    let parts = stories.map { story in
      Detail(view: story.view, log: story.log, user: names[story.view.user]).text
    }
    return (parts + (problems.isEmpty ? [] : [problems.joined(separator: "\n")]))
      .joined(separator: "\n\n")
  }

  var object: JSON {
    let names = UserNames(stories.map(\.view))
    return JSON([
      "host": .string(Host.name), "user": .string(user.map { Host.userName(of: $0) }),
      "tunnels": .array(
        stories.map { story in
          story.view.json(user: names[story.view.user]).adding([
            "log": .array(story.log.map(\.json))
          ])
        }),
      "problems": problems.isEmpty ? nil : .strings(problems),
    ])
  }
}

extension LogLine {
  fileprivate var json: JSON {
    JSON(["time": .string(time.map { timestamp($0) }), "text": .string(text)])
  }
}

/// One tunnel, in several lines.
private struct Detail {
  let view: RecordView
  let log: [LogLine]
  let user: String

  var text: String {
    let parts: [(title: String, lines: [String])] = [
      ("state", [state]), ("forwards", forwards), ("waiting", waiting),
      ("slow", detour), ("failed", view.status.reasons), ("traffic", [traffic]),
      ("processes", processes), ("log", log.map { line($0) }),
    ]
    let title = "job \(view.step.job), step \(view.step.stepLabel), of \(user)"
    return ([title] + parts.flatMap { labelled($0.title, $0.lines) }).joined(separator: "\n")
  }

  private func labelled(_ title: String, _ lines: [String]) -> [String] {
    lines.enumerated().map { index, line in
      let label = index == 0 ? title : ""
      return "  " + label + String(repeating: " ", count: 11 - label.count) + line
    }
  }

  private var state: String {
    let started = view.status.started
    let transport = view.status.transport == .srun ? ", through srun" : ""
    return "\(view.stateCell) since \(Units.localTime(view.status.since))\(transport)"
      + (started == 0 ? "" : ", asked for at \(Units.localTime(started))")
  }

  private var detour: [String] { view.status.detour.map { [$0] } ?? [] }

  private var forwards: [String] {
    if view.host == nil { return ["?"] }
    let ways = view.ways.map { (printable($0.forward.arrow), $0.far) }
    let width = ways.map(\.0.count).max() ?? 0
    return ways.map { arrow, far in
      guard let far, view.state == .up else { return arrow }
      return arrow + String(repeating: " ", count: width - arrow.count + 2) + far.words
    }
  }

  private var waiting: [String] {
    (view.host?.waiting ?? []).map { printable($0.description) + " until the job starts" }
  }

  private var traffic: String {
    let status = view.status
    return "\(Units.count(status.connections, "open connection")), \(status.accepted) in all, "
      + "\(status.refused) refused (another user's); \(Units.byteCount(status.sent)) sent, "
      + "\(Units.byteCount(status.received)) received"
  }

  private var processes: [String] {
    let ids = [("keeper", view.status.keeper), ("ssh", view.status.ssh)].filter { $0.1 != 0 }
    return ids.isEmpty ? [] : [ids.map { "\($0.0) \($0.1)" }.joined(separator: ", ")]
  }

  private func line(_ line: LogLine) -> String {
    line.time.map { "\(Units.localTime($0))  \(line.text)" } ?? line.text
  }
}
