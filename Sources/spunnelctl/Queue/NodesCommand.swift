// `spunnelctl nodes`: the nodes of the cluster, and how much of them is in use.

import SpunnelCLI
import SpunnelQueue
import SpunnelSlurm
import SpunnelSystem

enum NodesCommand {
  static let spec = CommandSpec(
    "nodes", "Show the nodes and what is in use.", options: [Output.json, Output.watch],
    details: """
      A star is a CPU in use, a dot is a free one; [XXXX] is a node that takes no job. Nodes that are
      equal are one line.
      """,
    examples: [.init("spunnelctl nodes", "Show them.")]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    let look: Watch.Look = { () throws(CommandError) in
      do throws(SlurmError) { return NodesReport(nodes: try tools.slurm.nodes()) } catch {
        throw .failure("nodes: \(error)")
      }
    }
    let output = Output(call)
    if output.watches { try Watch.run(output, nil, look) } else { try output.tell(try look()) }
    return .success
  }
}

/// The result of `spunnelctl nodes`.
struct NodesReport: Report {
  private static let widestBar = 32

  let nodes: [NodeInfo]

  var text: String {
    var table = Table(["USAGE", "NODE", "CPUS", "MEMORY", "GRES", "FEATURES", "STATE"])
    for pile in piles { table.add(row(pile)) }
    let usable = nodes.filter(\.isUsable)
    let (used, all) = (usable.reduce(0) { $0 + $1.cpusUsed }, usable.reduce(0) { $0 + $1.cpus })
    let tenths = all > 0 ? used * 1000 / all : 0
    return table.text + "\n\nUsed CPUs: \(used)/\(all) (\(tenths / 10).\(tenths % 10)%)"
  }

  /// Groups of nodes whose cells are all equal.
  private var piles: [[NodeInfo]] {
    var order: [[String]] = []
    var piles: [[String]: [NodeInfo]] = [:]
    for node in nodes {
      let key = cells(node)
      if piles[key] == nil { order.append(key) }
      piles[key, default: []].append(node)
    }
    return order.compactMap { piles[$0] }
  }

  private func row(_ pile: [NodeInfo]) -> [String] {
    var cells = cells(pile[0])
    cells.insert(NodeNames.compact(pile.map(\.name)), at: 1)
    return cells
  }

  private func cells(_ node: NodeInfo) -> [String] {
    let memory =
      node.memoryUsed > 0
      ? "\(Units.byteCount(node.memoryUsed << 20))/\(Units.byteCount(node.memory << 20))"
      : Units.byteCount(node.memory << 20)
    let state = ([node.state] + node.flags).joined(separator: "+")
    return [
      NodesReport.bar(node), "\(node.cpusUsed)/\(node.cpus)", memory, node.gres,
      node.features.joined(separator: ","),
      node.isUsable || node.reason.isEmpty ? state : "\(state): \(node.reason)",
    ]
  }

  /// The usage of a node: `[***.....]`, with a character for each CPU up to `widestBar`.
  static func bar(_ node: NodeInfo) -> String {
    let width = min(node.cpus, widestBar)
    if !node.isUsable { return "[" + String(repeating: "X", count: width) + "]" }
    var stars = node.cpus > 0 ? (node.cpusUsed * width + node.cpus - 1) / node.cpus : 0
    // A bar without a dot must mean a node without a free CPU.
    if stars == width, node.cpusUsed < node.cpus { stars = width - 1 }
    return "[" + String(repeating: "*", count: stars)
      + String(repeating: ".", count: width - stars) + "]"
  }

  var object: JSON {
    JSON([
      "nodes": .array(
        nodes.map { node in
          JSON([
            "name": .string(node.name), "state": .string(node.state), "flags": .strings(node.flags),
            "usable": .bool(node.isUsable), "cpus": .number(node.cpus),
            "cpus_used": .number(node.cpusUsed), "memory_mib": .number(node.memory),
            "memory_used_mib": .number(node.memoryUsed), "features": .strings(node.features),
            "gres": node.gres.isEmpty ? nil : .string(node.gres),
            "gres_used": node.gresUsed.isEmpty ? nil : .string(node.gresUsed),
            "reason": node.reason.isEmpty ? nil : .string(node.reason),
          ])
        })
    ])
  }
}

/// Several node names in Slurm's form: `n[1-3,7]`.
enum NodeNames {
  static func compact(_ names: [String]) -> String {
    var groups: [(prefix: String, numbers: [Substring])] = []
    for name in names {
      let digits = name.reversed().prefix { $0.isASCII && $0.isNumber }.count
      let (prefix, number) = (String(name.dropLast(digits)), name.suffix(digits))
      if let last = groups.last, last.prefix == prefix, !number.isEmpty, last.numbers[0].count > 0 {
        groups[groups.count - 1].numbers.append(number)
      } else {
        groups.append((prefix, [number]))
      }
    }
    return groups.map { group in
      group.numbers.count == 1
        ? group.prefix + group.numbers[0] : "\(group.prefix)[\(ranges(group.numbers))]"
    }.joined(separator: ",")
  }

  private static func ranges(_ numbers: [Substring]) -> String {
    var ranges: [(first: Substring, last: Substring)] = []
    for number in numbers {
      if let last = ranges.last, last.last.count == number.count, let before = Int(last.last),
        Int(number) == before + 1
      {
        ranges[ranges.count - 1].last = number
      } else {
        ranges.append((number, number))
      }
    }
    return ranges.map { $0.first == $0.last ? String($0.first) : "\($0.first)-\($0.last)" }
      .joined(separator: ",")
  }
}
