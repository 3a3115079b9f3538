// How large a cluster is and how it behaves: what the user asked for, on what the machine has.

import Glibc

/// What the machine has.
public struct Machine: Sendable {
  /// Processors that are online.
  public let processors: Int
  public let memory: MemorySize

  public init(processors: Int, memory: MemorySize) {
    self.processors = processors
    self.memory = memory
  }

  /// This machine.
  public static var current: Machine {
    let pages = sysconf(CInt(_SC_PHYS_PAGES)) * sysconf(CInt(_SC_PAGESIZE))
    return Machine(
      processors: max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN))),
      memory: MemorySize(mebibytes: pages >> 20))
  }
}

/// What a user asks for; what is left out stays as it was, or comes from the machine.
public struct ShapeRequest: Equatable, Sendable {
  /// What a node's processors and GPUs and the number of nodes may be.
  public static let processorRange = 1...4096
  public static let gpuRange = 0...64
  public static let nodeRange = 1...64

  /// Processors of each node.
  public var processors: Int?
  /// Memory of each node.
  public var memory: MemorySize?
  /// GPUs of each node.
  public var gpus: Int?
  public var policy: Policy?
  public var nodes: Int?

  public init() {}

  /// The request with what an earlier one said where this one says nothing.
  func filled(from earlier: ShapeRequest) -> ShapeRequest {
    var filled = self
    filled.processors = processors ?? earlier.processors
    filled.memory = memory ?? earlier.memory
    filled.gpus = gpus ?? earlier.gpus
    filled.policy = policy ?? earlier.policy
    filled.nodes = nodes ?? earlier.nodes
    return filled
  }
}

/// A cluster as it is configured.
public struct Shape: Equatable, Sendable {
  public let processors: Int
  public let memory: MemorySize
  public let gpus: Int
  public let policy: Policy
  public let nodes: Int
  /// The nodes of a cluster that was described host by host.
  public let fleet: Fleet?
  /// Whether jobs can be bound to the processors that they were given: the one node must be no
  /// larger than the machine.
  public let binds: Bool

  /// - Parameter fleet: described host by host; nodes, processors and memory are its own then
  public init(_ request: ShapeRequest, on machine: Machine, _ fleet: Fleet? = nil) {
    self.fleet = fleet
    if let fleet {
      nodes = fleet.nodes.count
      processors = fleet.processors
      memory = MemorySize(mebibytes: fleet.nodes.reduce(0) { $0 + $1.memory.mebibytes })
      gpus = 0
      policy = request.policy ?? .fifo
      binds = false
      return
    }
    nodes = request.nodes ?? 1
    // Several nodes share the one machine.
    processors = request.processors ?? max(1, machine.processors / nodes)
    memory = request.memory ?? MemorySize(mebibytes: machine.memory.mebibytes / nodes)
    gpus = request.gpus ?? 0
    policy = request.policy ?? .fifo
    binds = nodes == 1 && processors <= machine.processors
  }

  /// `n1`, `n2` …
  public var nodeNames: [String] { fleet?.nodes.map(\.name) ?? Shape.nodeNames(nodes) }

  /// Those whose slurmd runs on this host.
  var localNodeNames: [String] { fleet?.localNodes.map(\.name) ?? nodeNames }

  /// Whether a host has several nodes, which not every Slurm allows.
  var sharesHosts: Bool {
    guard let fleet else { return nodes > 1 }
    return Set(fleet.nodes.map(\.host)).count < nodes
  }

  static func nodeNames(_ count: Int) -> [String] { (0..<count).map { "n\($0 + 1)" } }

  /// What a job gets for each processor when it does not say: an even share. Where nodes differ it is the
  /// least one, so that each node's processors can be had.
  var memoryPerProcessor: Int {
    let shares =
      fleet?.nodes.map { $0.memory.mebibytes / $0.processors } ?? [memory.mebibytes / processors]
    return max(1, shares.min() ?? 1)
  }
}
