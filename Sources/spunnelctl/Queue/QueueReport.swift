// The list of jobs, as text and as JSON.

import Glibc
import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

struct QueueReport: Report {
  /// Rows as they came, and the order in which they are shown: rows are not copied, as there may be a
  /// hundred thousand.
  private let all: [QueueRow]
  private let order: [Int]
  let now: Int
  let showsUsers: Bool

  init(rows: [QueueRow], now: Int, showsUsers: Bool) {
    var order = rows.indices.map { (key: rows[$0].order, index: $0) }
    order.sort { ($0.key, $0.index) < ($1.key, $1.index) }
    all = rows
    self.order = order.map(\.index)
    self.now = now
    self.showsUsers = showsUsers
  }

  /// The rows in their order.
  var rows: some Sequence<QueueRow> { order.lazy.map { all[$0] } }

  var text: String { table(of: rows).text }

  /// A row for each job behind that of the titles.
  func table(of rows: some Sequence<QueueRow>) -> Table {
    var table = Table(
      ["JOB", "NAME"] + (showsUsers ? ["USER"] : []) + [
        "PARTITION", "STATE", "TIME", "LIMIT", "NODES", "CPUS", "WHERE",
      ])
    var names = KnownUsers()
    for row in rows {
      var cells = [row.label, row.name]
      if showsUsers { cells.append(names[row.user]) }
      cells += [
        row.partition, row.state, row.elapsed(now).map { QueueTime.span($0) } ?? "",
        QueueTime.limit(row.limit), row.nodeCount.map { String($0) } ?? "",
        row.cpus.map { String($0) } ?? "", row.place,
      ]
      table.add(cells)
    }
    return table
  }

  var object: JSON {
    var names = KnownUsers()
    return JSON(["jobs": .array(rows.map { $0.json(userName: names[$0.user]) })])
  }
}

/// Users' names, each looked up once.
private struct KnownUsers {
  private var known: [uid_t: String] = [:]

  subscript(user: uid_t) -> String {
    mutating get {
      if let name = known[user] { return name }
      let name = Host.userName(of: user)
      known[user] = name
      return name
    }
  }
}

extension JobInfo {
  /// For programs.
  func json(now: Int) -> JSON { QueueRow(self).json(userName: Host.userName(of: user)) }
}
