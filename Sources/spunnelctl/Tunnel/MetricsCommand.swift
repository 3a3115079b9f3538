// spunnelctl metrics: what the tunnels of this host do, as Prometheus reads it (the text format, version 0.0.4).

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

enum MetricsCommand {
  static let spec = CommandSpec(
    "metrics", "Print what the tunnels of this host do, for Prometheus.",
    options: [StateOption.option],
    details: """
      For root alone, as for node_exporter's folder of text files. Numbers are of the tunnels that are
      there now: they fall when tunnels end, so they are gauges. At most 100 users are told by name;
      the others are counted together.
      """,
    examples: [.init("spunnelctl metrics", "Print them.")], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    if getuid() != 0 {
      throw .usage("metrics: it tells of every user's tunnels and is for root")
    }
    let directory = try StateOption(call).stateDirectory
    let found: AllRecords
    do throws(RecordError) { found = try AllRecords.find(in: directory) } catch {
      throw .failure("metrics: look at the tunnels: \(error)")
    }
    let names = UserNames(found.views)
    try say(Metrics(found.views, problems: found.problems.count) { names[$0] }.text)
    return .success
  }
}

/// Numbers of tunnels, by state and by user.
struct Metrics {
  /// Users that are told by name, those with the most tunnels.
  private static let mostUsers = 100
  private static let others = "(others)"

  private let views: [RecordView]
  private let problems: Int
  private let name: (uid_t) -> String

  /// - Parameters:
  ///   - views: everybody's
  ///   - problems: directories that could not be looked at as a whole
  init(_ views: [RecordView], problems: Int, name: @escaping (uid_t) -> String) {
    (self.views, self.problems, self.name) = (views, problems, name)
  }

  /// Without the last newline.
  var text: String {
    let states = Status.State.allCases.map { state in
      (labels: "{state=\"\(state.rawValue)\"}", value: views.count { $0.state == state })
    }
    let sums: [(name: String, help: String, path: KeyPath<Status, Int>)] = [
      ("connections", "Open connections.", \.connections),
      ("accepted", "Connections accepted by the tunnels that are there.", \.accepted),
      ("refused", "Connections of other users that were refused.", \.refused),
      ("sent_bytes", "Bytes to the nodes.", \.sent),
      ("received_bytes", "Bytes from the nodes.", \.received),
    ]
    let byUser = users
    var parts = [
      block("tunnels", "Tunnels on this host, by state.", states),
      block(
        "user_tunnels", "Tunnels on this host, by user.",
        byUser.map { (label($0.user), $0.views.count) }),
    ]
    for sum in sums {
      parts.append(
        block(
          sum.name, sum.help,
          byUser.map { user in
            // What a user has written may be anything.
            (label(user.user), user.views.reduce(0) { $0 &+ $1.status[keyPath: sum.path] })
          }))
    }
    parts.append(block("problems", "State directories that cannot be read.", [("", problems)]))
    return parts.joined(separator: "\n")
  }

  private func block(
    _ name: String, _ help: String, _ values: [(labels: String, value: Int)]
  ) -> String {
    (["# HELP spunnel_\(name) \(help)", "# TYPE spunnel_\(name) gauge"]
      + values.map { "spunnel_\(name)\($0.labels) \($0.value)" }).joined(separator: "\n")
  }

  private func label(_ user: String) -> String { "{user=\"\(user)\"}" }

  /// Those with the most tunnels by name, the rest together.
  private var users: [(user: String, views: [RecordView])] {
    let groups = Dictionary(grouping: views, by: \.user)
      .sorted { ($0.value.count, $1.key) > ($1.value.count, $0.key) }
    var named = groups.prefix(Metrics.mostUsers).map {
      (user: escaped(name($0.key)), views: $0.value)
    }
    let rest = groups.dropFirst(Metrics.mostUsers).flatMap(\.value)
    if !rest.isEmpty { named.append((Metrics.others, rest)) }
    return named.sorted { $0.user < $1.user }
  }

  /// As a label's value is written.
  private func escaped(_ text: String) -> String {
    printable(text).map { "\"\\".contains($0) ? "\\\($0)" : "\($0)" }.joined()
  }
}
