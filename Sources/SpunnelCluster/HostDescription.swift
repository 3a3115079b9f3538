// The hosts of a cluster over several hosts: their description, which has one line for each host as
// in `wq serve`, and the file in the cluster's folder that keeps it.

import SpunnelSlurm
import SpunnelSystem

/// One node: its description, and what its host answered.
public struct FleetNode: Equatable, Sendable {
  /// The node's name, which is also the host's name for ssh.
  public let name: String
  public let processors: Int
  /// The memory of the node.
  public let memory: MemorySize
  /// The groups of the node; Slurm calls them features.
  public let groups: [String]
  /// The host's own name; `nil` until it has answered. Several nodes may be on one host.
  public internal(set) var host: String?
  /// The address by which the controller and the other nodes reach the node.
  public internal(set) var address: String?
  public internal(set) var port: UInt16?

  /// Whether the node is on this host.
  var isLocal: Bool { host == Host.name }
}

/// The nodes of a cluster over several hosts.
public struct Fleet: Equatable, Sendable {
  /// The most nodes that make sense without root.
  private static let mostNodes = 512
  private static let processorRange = 1...4096

  public internal(set) var nodes: [FleetNode]
  /// The address by which the nodes reach this host; `nil` when all nodes are on this host.
  public internal(set) var controllerAddress: String?

  /// Reads lines of `host ncores mem groups`.
  ///
  /// `mem` is in GB. `groups` are separated by commas and may be missing. Blank lines are skipped,
  /// and a comment begins with `#`.
  ///
  /// - Throws: `malformed` with the number of the line
  public init(description text: String) throws(ClusterError) {
    nodes = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)
      if words.isEmpty { continue }
      let node = try Fleet.node(words, "line \(index + 1)")
      if nodes.contains(where: { $0.name == node.name }) {
        throw .malformed("line \(index + 1)", node.name, "each host once")
      }
      nodes.append(node)
    }
    if nodes.isEmpty {
      throw .malformed("description", "", "a line for each host: n1 8 16 fast,new")
    }
    if nodes.count > Fleet.mostNodes {
      throw .malformed("description", "\(nodes.count) hosts", "at most \(Fleet.mostNodes) hosts")
    }
  }

  private static func node(_ words: [String], _ place: String) throws(ClusterError) -> FleetNode {
    let line = words.joined(separator: " ")
    guard (3...4).contains(words.count) else {
      throw .malformed(place, line, "host, cores, GB of memory and groups: n1 8 16 fast,new")
    }
    guard isName(words[0]) else { throw .malformed(place, words[0], "the name of a host") }
    let processors = try count(words[1], "\(place): cores", in: processorRange)
    guard let gigabytes = Double(words[2]), gigabytes > 0, gigabytes < 1e6 else {
      throw .malformed("\(place): memory", words[2], "a number of GB, as in 16 or 1.5")
    }
    let groups = words.count == 4 ? words[3].split(separator: ",").map(String.init) : []
    for group in groups where !isName(group) {
      throw .malformed("\(place): group", group, "letters, digits, '.', '-' and '_'")
    }
    return FleetNode(
      name: words[0], processors: processors,
      memory: MemorySize(mebibytes: Int((gigabytes * 1024).rounded())), groups: groups)
  }

  /// Whether Slurm and ssh take a word as a name without quoting.
  private static func isName(_ text: String) -> Bool {
    !text.hasPrefix("-") && !text.hasPrefix(".") && (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: ".-_".utf8.contains(byte)
        }
      }
  }

  var processors: Int { nodes.reduce(0) { $0 + $1.processors } }
  var isRemote: Bool { nodes.contains { !$0.isLocal } }
  var localNodes: [FleetNode] { nodes.filter(\.isLocal) }
}

// MARK: - The file

extension Fleet {
  static let fileName = "hosts"
  private static let longestFile = 1 << 20

  /// Reads the description that an earlier `up` or `describe` wrote; `nil` for a cluster of this
  /// host alone.
  static func kept(in folder: borrowing Directory) -> Fleet? {
    guard let bytes = try? folder.read(fileName, atMost: longestFile) else { return nil }
    return Fleet(kept: String(decoding: bytes, as: UTF8.self))
  }

  init?(kept text: String) {
    nodes = []
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      if words.count == 2, words[0] == "controller" {
        controllerAddress = words[1]
        continue
      }
      guard words.count == 7, let processors = wholeNumber(words[1]),
        let memory = wholeNumber(words[2])
      else { return nil }
      nodes.append(
        FleetNode(
          name: words[0], processors: processors, memory: MemorySize(mebibytes: memory),
          groups: words[3] == "-" ? [] : words[3].split(separator: ",").map(String.init),
          host: words[4] == "-" ? nil : words[4], address: words[5] == "-" ? nil : words[5],
          port: UInt16(words[6])))
    }
    if nodes.isEmpty { return nil }
  }

  func keep(in folder: borrowing Directory) throws(SystemError) {
    try folder.replace(Fleet.fileName, with: Array(text.utf8))
  }

  var text: String {
    let head = controllerAddress.map { ["controller \($0)"] } ?? []
    let lines = nodes.map { node in
      [
        node.name, String(node.processors), String(node.memory.mebibytes),
        node.groups.isEmpty ? "-" : node.groups.joined(separator: ","), node.host ?? "-",
        node.address ?? "-", node.port.map { String($0) } ?? "-",
      ].joined(separator: " ")
    }
    return (head + lines).map { $0 + "\n" }.joined()
  }
}
