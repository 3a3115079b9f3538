// What is kept of a cluster from one `up` to the next: a file of `key=value` lines.

import SpunnelSystem
import SpunnelTunnel

/// The ports of a cluster's daemons on 127.0.0.1.
public struct Ports: Equatable, Sendable {
  public let controller: UInt16
  public let sshd: UInt16
  /// The ports of the nodes, in the order of the nodes' names.
  public let nodes: [UInt16]

  public init(controller: UInt16, sshd: UInt16, nodes: [UInt16]) {
    self.controller = controller
    self.sshd = sshd
    self.nodes = nodes
  }

  var all: [UInt16] { [controller, sshd] + nodes }

  /// The port of a daemon.
  ///
  /// - Returns: `nil` for munged, which has a socket, and for a node without a port here
  public func port(of daemon: Daemon) -> UInt16? {
    switch daemon {
    case .munged: nil
    case .controller: controller
    case .sshd: sshd
    case .node(let name): zip(Shape.nodeNames(nodes.count), nodes).first { $0.0 == name }?.1
    }
  }
}

/// The content of a cluster's `cluster.conf`.
public struct SavedRecord: Equatable, Sendable {
  static let fileName = "cluster.conf"

  public var request: ShapeRequest
  public var slurmPrefix: String?
  public var ports: Ports?

  public init(
    request: ShapeRequest = ShapeRequest(), slurmPrefix: String? = nil, ports: Ports? = nil
  ) {
    self.request = request
    self.slurmPrefix = slurmPrefix
    self.ports = ports
  }

  /// Reads the file. A malformed line is ignored, since each value can be chosen anew.
  public init(text: String) {
    var values: [Substring: String] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2 { values[parts[0]] = String(parts[1]) }
    }
    self.init()
    func number(_ key: Substring, in range: ClosedRange<Int>) -> Int? {
      values[key].flatMap { wholeNumber($0) }.flatMap { range.contains($0) ? $0 : nil }
    }
    request.processors = number("cpus", in: ShapeRequest.processorRange)
    request.memory = values["memory"].flatMap { try? MemorySize($0) }
    request.gpus = number("gpus", in: ShapeRequest.gpuRange)
    request.policy = values["policy"].flatMap { Policy(rawValue: $0) }
    request.nodes = number("nodes", in: ShapeRequest.nodeRange)
    request.transport = values["transport"].flatMap { Settings.Transport(rawValue: $0) }
    slurmPrefix = values["slurm-prefix"]
    let numbers = (values["ports"] ?? "").split(separator: ",").compactMap { UInt16($0) }
    if numbers.count >= 2 {
      ports = Ports(controller: numbers[0], sshd: numbers[1], nodes: Array(numbers[2...]))
    }
  }

  /// The content of the file.
  public var text: String {
    var lines: [String] = []
    func add(_ key: String, _ value: String?) {
      if let value { lines.append(key + "=" + value) }
    }
    add("cpus", request.processors.map { String($0) })
    add("memory", request.memory?.description)
    add("gpus", request.gpus.map { String($0) })
    add("policy", request.policy?.rawValue)
    add("nodes", request.nodes.map { String($0) })
    add("transport", request.transport?.rawValue)
    add("slurm-prefix", slurmPrefix)
    add("ports", ports?.all.map { String($0) }.joined(separator: ","))
    return lines.map { $0 + "\n" }.joined()
  }
}
