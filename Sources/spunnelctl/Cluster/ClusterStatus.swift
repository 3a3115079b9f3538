// `spunnelctl cluster status` and `list`.

import SpunnelCluster
import SpunnelCLI

enum ClusterStatus {
  static let spec = CommandSpec(
    "status", "Show the cluster: its daemons, jobs and memory.",
    options: [Output.json, Output.watch],
    examples: [.init("spunnelctl cluster status --watch", "Show it until Ctrl-C.")], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let cluster = try ClusterOptions.cluster(call)
    return try show(call) { () throws(ClusterError) in
      ClusterReport(cluster: cluster, status: try cluster.status())
    }
  }

  /// Prints a report once, or repeatedly at intervals: nothing reports that a cluster has changed.
  static func show<Told: Report>(
    _ call: Call, _ look: @escaping () throws(ClusterError) -> Told
  ) throws(CommandError) -> ExitCode {
    let output = Output(call)
    let report = try clustering(call, look)
    if output.watches {
      try Watch.run(output, nil) { () throws(CommandError) in try clustering(call, look) }
    } else {
      try output.tell(report)
    }
    return .success
  }
}

enum ClusterList {
  static let spec = CommandSpec(
    "list", "Show all clusters of yours.", options: [Output.json, Output.watch],
    examples: [.init("spunnelctl cluster list", "Show a line for each.")], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    try ClusterStatus.show(call) { () throws(ClusterError) in
      let home = try ClusterHome.current()
      var found: [ClusterReport] = []
      for name in try home.names() {
        let cluster = Cluster(name, in: home)
        do throws(ClusterError) {
          found.append(ClusterReport(cluster: cluster, status: try cluster.status()))
        } catch { remark("spunnelctl: cluster list: \(error)") }
      }
      return ClusterListReport(clusters: found)
    }
  }
}
