// The size and behaviour of a cluster: the user's request, applied to the machine.

import Glibc
import SpunnelTunnel

/// The resources of a machine.
public struct Machine: Sendable {
  /// The number of online processors.
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

/// A user's request. A missing value stays as it was, or comes from the machine.
public struct ShapeRequest: Equatable, Sendable {
  /// The allowed processors and GPUs of a node, and the allowed number of nodes.
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
  /// Which way tunnels take to the nodes; `nil`: as Spunnel chooses.
  public var transport: Settings.Transport?

  public init() {}

  /// This request, with missing values taken from an earlier one.
  func filled(from earlier: ShapeRequest) -> ShapeRequest {
    var filled = self
    filled.processors = processors ?? earlier.processors
    filled.memory = memory ?? earlier.memory
    filled.gpus = gpus ?? earlier.gpus
    filled.policy = policy ?? earlier.policy
    filled.nodes = nodes ?? earlier.nodes
    filled.transport = transport ?? earlier.transport
    return filled
  }
}

/// The shape of a configured cluster.
public struct Shape: Equatable, Sendable {
  public let processors: Int
  public let memory: MemorySize
  public let gpus: Int
  public let policy: Policy
  public let nodes: Int
  public let transport: Settings.Transport?
  /// The nodes of a cluster that was described host by host; `nil` otherwise.
  public let fleet: Fleet?
  /// Whether Slurm can bind jobs to processors. This needs a single node that is no larger than the
  /// machine.
  public let binds: Bool

  /// - Parameters:
  ///   - request: the user's request
  ///   - machine: the resources of this machine
  ///   - fleet: the described hosts; they then determine nodes, processors and memory
  public init(_ request: ShapeRequest, on machine: Machine, _ fleet: Fleet? = nil) {
    self.fleet = fleet
    transport = request.transport
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
    // All nodes share one machine.
    processors = request.processors ?? max(1, machine.processors / nodes)
    memory = request.memory ?? MemorySize(mebibytes: machine.memory.mebibytes / nodes)
    gpus = request.gpus ?? 0
    policy = request.policy ?? .fifo
    binds = nodes == 1 && processors <= machine.processors
  }

  /// The names of the nodes: `n1`, `n2` …, or those that were described.
  public var nodeNames: [String] { fleet?.nodes.map(\.name) ?? Shape.nodeNames(nodes) }

  /// The nodes whose slurmd runs on this host.
  var localNodeNames: [String] { fleet?.localNodes.map(\.name) ?? nodeNames }

  /// Whether a host has several nodes. Not every Slurm allows this.
  var sharesHosts: Bool {
    guard let fleet else { return nodes > 1 }
    return Set(fleet.nodes.map(\.host)).count < nodes
  }

  static func nodeNames(_ count: Int) -> [String] { (0..<count).map { "n\($0 + 1)" } }

  /// The default memory for each processor of a job, in MiB: an even share. If nodes differ, the
  /// smallest share is used, so that jobs can fill every node.
  var memoryPerProcessor: Int {
    let shares =
      fleet?.nodes.map { $0.memory.mebibytes / $0.processors } ?? [memory.mebibytes / processors]
    return max(1, shares.min() ?? 1)
  }
}
