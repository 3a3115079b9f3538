// spunnelctl status: a line for each tunnel.

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

struct StatusReport: Report {
  private let views: [RecordView]
  private let user: uid_t?
  private let problems: [String]

  /// - Parameters:
  ///   - views: by job and step
  ///   - user: whose; `nil`: everybody's
  ///   - problems: lines on what could not be looked at
  init(_ views: [RecordView], user: uid_t?, problems: [String] = []) {
    self.views = views
    self.user = user
    self.problems = problems
  }

  var text: String { ([table] + problems).joined(separator: "\n") }

  private var table: String {
    if views.isEmpty {
      return user.map { "no tunnels of \(Host.userName(of: $0)) on \(Host.name)" }
        ?? "no tunnels on \(Host.name)"
    }
    let names = user == nil ? UserNames(views) : nil
    var table = Table(
      ["JOB", "STEP"] + (names == nil ? [] : ["USER"])
        + ["NODE", "FORWARDS", "STATE", "SINCE", "OPEN", "SENT", "RECEIVED", "SERVICE"])
    for view in views {
      let status = view.status
      table.add(
        [String(view.step.job), view.step.stepLabel] + (names.map { [$0[view.user]] } ?? [])
          + [
            view.nodeCell, view.forwardsCell, view.stateCell, Units.localTime(status.since),
            String(status.connections), Units.byteCount(status.sent),
            Units.byteCount(status.received), view.service,
          ])
    }
    return table.text
  }

  var object: JSON {
    let names = UserNames(views)
    return JSON([
      "host": .string(Host.name), "user": .string(user.map { Host.userName(of: $0) }),
      "tunnels": .array(views.map { $0.json(user: names[$0.user]) }),
      "problems": problems.isEmpty ? nil : .strings(problems),
    ])
  }
}

/// Login names, each asked for once: the answer may come over the network.
struct UserNames {
  private let names: [uid_t: String]

  /// - Parameter views: whose owners are meant
  init(_ views: [RecordView]) {
    names = Dictionary(
      uniqueKeysWithValues: Set(views.map(\.user)).map { ($0, Host.userName(of: $0)) })
  }

  subscript(user: uid_t) -> String { names[user] ?? String(user) }
}
