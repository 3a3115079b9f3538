// `spunnelctl cluster up` and `down`.

import Glibc
import SpunnelCluster
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

enum ClusterUp {
  private static let processors = Option(
    "cpus", "N", .number(in: ShapeRequest.processorRange),
    "Give each node N CPUs; more than the machine has is allowed.")
  private static let memory = Option(
    "memory", "SIZE", .memory, "Give each node this much memory, as in 16G.")
  private static let gpus = Option(
    "gpus", "N", .number(in: ShapeRequest.gpuRange), "Give each node N GPUs.")
  private static let nodes = Option(
    "nodes", "N", .number(in: ShapeRequest.nodeRange), "Make N nodes on this machine (1).")
  private static let policy = Option(
    "policy", "WORD", ValueKind<Policy>.choice,
    "Choose which waiting job is next: fifo or largest-first (fifo).")
  private static let transport = Option(
    "transport", "WORD", ValueKind<Settings.Transport>.choice,
    "Choose the way of tunnels: auto, ssh or srun (auto).")
  private static let slurmPrefix = Option(
    "slurm-prefix", "DIR", .folder, "Take a Slurm that was unpacked in DIR.")

  static let spec = CommandSpec(
    "up", "Start the cluster; when it is up already, say so.",
    options: [processors, memory, gpus, nodes, policy, transport, slurmPrefix, Output.json],
    details: "The options are remembered for the next up.",
    examples: [
      .init("spunnelctl cluster up", "Start it with all that the machine has."),
      .init("spunnelctl cluster up --nodes 2 --cpus 4", "Start two nodes with 4 CPUs each."),
    ], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let cluster = try ClusterOptions.cluster(call)
    let request = try request(call)
    // The daemons leave the user's folder, so that its file system can be unmounted.
    _ = unsafe chdir("/")
    let result = try clustering(call) { () throws(ClusterError) in try cluster.up(request) }
    let status = try clustering(call) { () throws(ClusterError) in try cluster.status() }
    let report = ClusterUpReport(
      cluster: ClusterReport(cluster: cluster, status: status), result: result)
    try Output(call).tell(report)
    if case .wasUp = result, request.shape != ShapeRequest() || request.slurmPrefix != nil {
      remark(
        "spunnelctl: cluster up: '\(cluster.name)' is up already, and its options are left aside: "
          + "run spunnelctl cluster down first")
    }
    return .success
  }

  private static func request(_ call: Call) throws(CommandError) -> UpRequest {
    guard let installation = Installation.current else {
      throw .failure("\(call.name): \(Installation.absence)")
    }
    var request = UpRequest(pluginFolder: installation.libraries)
    request.shape.processors = call[processors]
    request.shape.nodes = call[nodes]
    request.shape.gpus = call[gpus]
    request.shape.memory = call[memory]
    request.shape.policy = call[policy]
    request.shape.transport = call[transport]
    if let text = call[slurmPrefix] {
      do throws(SystemError) { request.slurmPrefix = try realPath(text) } catch {
        throw .usage(
          "\(call.name): --slurm-prefix '\(printable(text))': write a folder that exists")
      }
    }
    return request
  }

  /// The shape in words: `1 node with 8 CPUs and 16G, fifo`.
  static func describe(_ shape: Shape) -> String {
    let nodes = shape.nodes == 1 ? "1 node" : "\(shape.nodes) nodes, each"
    let processors = shape.processors == 1 ? "1 CPU" : "\(shape.processors) CPUs"
    let gpus = shape.gpus == 0 ? "" : ", \(shape.gpus) GPU\(shape.gpus == 1 ? "" : "s")"
    return
      "\(nodes) with \(processors)\(gpus) and \(shape.memory) of memory, \(shape.policy.rawValue)"
  }
}

enum ClusterDown {
  private static let wait = Flag("wait", "Wait until the running jobs have ended.")
  private static let now = Flag("now", "Cancel the running jobs.")

  static let spec = CommandSpec(
    "down", "Stop the cluster; jobs that wait stay in its queue.",
    options: [wait, now, Output.json],
    examples: [.init("spunnelctl cluster down --wait", "Stop it after the running jobs.")],
    action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let cluster = try ClusterOptions.cluster(call)
    if call[wait] && call[now] {
      throw .usage("\(call.name): --wait and --now exclude each other")
    }
    let jobs: RunningJobs = call[now] ? .cancel : call[wait] ? .wait : .refuse
    let result = try clustering(call) { () throws(ClusterError) in try cluster.down(jobs) }
    try Output(call).tell(ClusterDownReport(name: cluster.name, result: result))
    return .success
  }
}
