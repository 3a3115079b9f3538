// spunnelctl cluster up and down.

import Glibc
import SpunnelCluster
import SpunnelOutput
import SpunnelSlurm
import SpunnelSystem

enum ClusterUp {
  private static let keys: Set<String> = [
    "--cpus", "--memory", "--gpus", "--policy", "--nodes", "--slurm-prefix",
  ]

  static func run(_ words: [String]) throws(ClusterFailure) {
    let options = try ClusterOptions(words, keys: keys, flags: ["--json"])
    let cluster = try options.cluster()
    let request = try request(options)
    // Daemons hold no folder of the user's: he may want to unmount it.
    _ = unsafe chdir("/")
    let result = try clustering { () throws(ClusterError) in try cluster.up(request) }
    let status = try clustering { () throws(ClusterError) in try cluster.status() }
    let report = ClusterUpReport(
      cluster: ClusterReport(cluster: cluster, status: status), result: result)
    Output(isJSON: options.flags.contains("--json")).tell(report)
    if case .wasUp = result, request.shape != ShapeRequest() || request.slurmPrefix != nil {
      say(
        "spunnelctl: cluster up: '\(cluster.name)' is up already, and its options are left aside: "
          + "run spunnelctl cluster down first", to: .error)
    }
  }

  private static func request(_ options: ClusterOptions) throws(ClusterFailure) -> UpRequest {
    guard let installation = Installation.current else { throw .other(Installation.absence) }
    return try clustering { () throws(ClusterError) in
      var request = UpRequest(pluginFolder: installation.libraries)
      let values = options.values
      if let text = values["--cpus"] {
        request.shape.processors = try count(text, "--cpus", in: ShapeRequest.processorRange)
      }
      if let text = values["--nodes"] {
        request.shape.nodes = try count(text, "--nodes", in: ShapeRequest.nodeRange)
      }
      if let text = values["--gpus"] {
        request.shape.gpus = try count(text, "--gpus", in: ShapeRequest.gpuRange)
      }
      if let text = values["--memory"] { request.shape.memory = try MemorySize(text) }
      if let text = values["--policy"] { request.shape.policy = try Policy(text) }
      if let text = values["--slurm-prefix"] {
        do throws(SystemError) { request.slurmPrefix = try realPath(text) } catch {
          throw .malformed("--slurm-prefix", text, "a folder that exists")
        }
      }
      return request
    }
  }

  /// `1 node with 8 CPUs and 16G, fifo`.
  static func describe(_ shape: Shape) -> String {
    let nodes = shape.nodes == 1 ? "1 node" : "\(shape.nodes) nodes, each"
    let processors = shape.processors == 1 ? "1 CPU" : "\(shape.processors) CPUs"
    let gpus = shape.gpus == 0 ? "" : ", \(shape.gpus) GPU\(shape.gpus == 1 ? "" : "s")"
    return
      "\(nodes) with \(processors)\(gpus) and \(shape.memory) of memory, \(shape.policy.rawValue)"
  }
}

enum ClusterDown {
  static func run(_ words: [String]) throws(ClusterFailure) {
    let options = try ClusterOptions(words, flags: ["--wait", "--now", "--json"])
    let cluster = try options.cluster()
    let flags = options.flags
    if flags.isSuperset(of: ["--wait", "--now"]) {
      throw .usage("--wait and --now exclude each other")
    }
    let jobs: RunningJobs =
      flags.contains("--now") ? .cancel : flags.contains("--wait") ? .wait : .refuse
    let result = try clustering { () throws(ClusterError) in try cluster.down(jobs) }
    Output(isJSON: flags.contains("--json"))
      .tell(ClusterDownReport(name: cluster.name, result: result))
  }
}
