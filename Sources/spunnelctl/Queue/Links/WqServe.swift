// `wq serve`: brings up a personal Slurm over the hosts of a description. The user must be able to
// log in to them.

import Glibc
import SpunnelCLI
import SpunnelCluster
import SpunnelSystem

enum WqServe {
  private static let description = Operand("DESC", .file)
  private static let spool = Option(
    "spool", letter: "s", "DIR", .folder, "Taken and not needed: Slurm keeps its queue.",
    isHidden: true)

  static let spec = CommandSpec(
    "serve", "Bring up a Slurm of your own over several hosts.", operands: [description],
    options: [spool],
    details: """
      A line of DESC is host, cores, GB of memory and groups: n1 8 16 fast,new. On each host munged and
      slurmd run under your own user id; ssh must reach it without a password. Groups are Slurm's features.
      The command returns when the nodes take jobs; spunnelctl cluster down --name NAME stops them.
      """,
    examples: [.init("wq serve cluster_description", "Serve the hosts in the file.")]
  ) { call throws(CommandError) in
    let queue = try OwnQueue.wq(call[WqTool.port])
    let path = try call.required(description)
    let fleet = try read(path)
    let cluster = try queue.keptOrNew()
    // The daemons leave the user's folder, so that its file system can be unmounted.
    _ = unsafe chdir("/")
    let isDescribed: Bool
    do throws(ClusterError) {
      isDescribed = try Cluster.describe(cluster.name, as: fleet, in: try .current())
    } catch { throw .failure("serve: \(error)") }
    // The paths of the cluster depend on whether it has other hosts, so they are made again.
    let described: Cluster
    do throws(ClusterError) { described = Cluster(cluster.name, in: try .current()) } catch {
      throw .failure("serve: \(error)")
    }
    let (_, shape) = try queue.serve(described) { _ in }
    let words = "\(shape.nodes) node\(shape.nodes == 1 ? "" : "s"), \(shape.processors) cores"
    if !isDescribed {
      try say("wq serves already: \(words)")
      remark(
        "wq: serve: '\(printable(path))' is left aside: spunnelctl cluster down --name "
          + "\(cluster.name) stops what runs")
      return .success
    }
    try say(
      "wq serves \(words): spunnelctl cluster down --name \(cluster.name) stops it")
    return .success
  }

  private static func read(_ path: String) throws(CommandError) -> Fleet {
    let bytes: [UInt8]
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
      bytes = try file.content(expecting: 0, atMost: 1 << 20)
    } catch { throw .failure("serve: read '\(printable(path))': \(error)") }
    do throws(ClusterError) {
      return try Fleet(description: String(decoding: bytes, as: UTF8.self))
    } catch {
      throw .usage("serve: read '\(printable(path))': \(error)")
    }
  }
}
