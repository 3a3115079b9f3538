// wq's lists of jobs and nodes, equal to wq's output byte by byte.

import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

/// wq's list of jobs.
struct WqList {
  let jobs: [JobInfo]
  let isFull: Bool
  let now: Int

  var text: String {
    var rows = [
      [
        "Pid", "User", "Status", "Priority", "Ncores", isFull ? "Hosts" : "Nhosts", "Command",
        "t_in", "t_run",
      ]
    ]
    for job in jobs.sorted(by: { $0.id < $1.id }) { rows.append(cells(job)) }
    let running = jobs.count { $0.phase == .running }
    return WqList.lines(rows).map { " " + $0 }.joined(separator: "\n")
      + "\n Jobs: Running: \(running) Waiting: \(jobs.count - running)"
  }

  private func cells(_ job: JobInfo) -> [String] {
    let runs = job.phase == .running
    let hosts = isFull ? job.nodes : job.nodeCount.map { String($0) } ?? "-"
    return [
      job.label, Host.userName(of: job.user), runs ? "R" : "W",
      job.nice > 0 ? "low" : job.nice < 0 ? "high" : "med",
      runs ? job.cpus.map { String($0) } ?? "-" : "-", runs ? hosts : "-",
      printable(job.name.isEmpty ? "-" : job.name),
      WqList.span(now - (job.submitted ?? now)),
      runs ? WqList.span(now - (job.started ?? now)) : "-",
    ]
  }

  /// A time span without zero units: `12h50m27s`.
  static func span(_ seconds: Int) -> String {
    let seconds = max(0, seconds)
    let parts = [
      (seconds / 86400, "d"), (seconds % 86400 / 3600, "h"), (seconds % 3600 / 60, "m"),
      (seconds % 60, "s"),
    ]
    let text = parts.filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined()
    return text.isEmpty ? "0s" : text
  }

  /// Rows with columns as wide as needed. The last column is padded as well.
  static func lines(_ rows: [[String]]) -> [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      row.indices.map { row[$0] + String(repeating: " ", count: widths[$0] - row[$0].count) }
        .joined(separator: " ")
    }
  }
}

/// wq's list of nodes.
struct WqNodes {
  let nodes: [NodeInfo]

  var text: String {
    let rows = nodes.map { node in
      (
        usage: usage(node), host: node.name, memory: WqNodes.gigabytes(node.memory),
        groups: node.features.joined(separator: ",")
      )
    }
    let header = (usage: "usage", host: "host", memory: "mem", groups: "groups")
    let all = [header] + rows
    let widths = (
      all.map(\.usage.count).max() ?? 0, all.map(\.host.count).max() ?? 0,
      all.map(\.memory.count).max() ?? 0, all.map(\.groups.count).max() ?? 0
    )
    let lines = all.map { row in
      row.usage + spaces(widths.0 - row.usage.count + 2) + row.host
        + spaces(widths.1 - row.host.count + 1) + spaces(widths.2 - row.memory.count) + row.memory
        + " " + row.groups + spaces(widths.3 - row.groups.count)
    }
    let usable = nodes.filter(\.isUsable)
    let (used, cpus) = (usable.reduce(0) { $0 + $1.cpusUsed }, usable.reduce(0) { $0 + $1.cpus })
    let tenths = cpus > 0 ? (used * 1000 + cpus / 2) / cpus : 0
    return "\n" + lines.joined(separator: "\n")
      + "\n\nUsed cores: \(used)/\(cpus) (\(tenths / 10).\(tenths % 10)%)"
  }

  private func usage(_ node: NodeInfo) -> String {
    if !node.isUsable { return "[" + String(repeating: "X", count: node.cpus) + "]" }
    return "[" + String(repeating: "*", count: min(node.cpusUsed, node.cpus))
      + String(repeating: ".", count: max(0, node.cpus - node.cpusUsed)) + "]"
  }

  private func spaces(_ count: Int) -> String { String(repeating: " ", count: max(0, count)) }

  static func gigabytes(_ mebibytes: Int) -> String {
    let tenths = (mebibytes * 10 + 512) / 1024
    return tenths % 10 == 0 || tenths >= 1000
      ? String((tenths + 5) / 10) : "\(tenths / 10).\(tenths % 10)"
  }
}
