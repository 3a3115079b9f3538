// spunnelctl cluster status and list.

import SpunnelCluster
import SpunnelOutput

enum ClusterStatus {
  static func run(_ words: [String]) throws(ClusterFailure) {
    let options = try ClusterOptions(words, flags: ["--json", "--watch"])
    let cluster = try options.cluster()
    try show(options) { () throws(ClusterError) in
      ClusterReport(cluster: cluster, status: try cluster.status())
    }
  }

  /// Tells it once, or again and again: nothing says when a cluster has changed.
  static func show<Told: Report>(
    _ options: ClusterOptions, _ look: @escaping () throws(ClusterError) -> Told
  ) throws(ClusterFailure) {
    let output = Output(
      isJSON: options.flags.contains("--json"), watches: options.flags.contains("--watch"))
    let report = try clustering(look)
    if !output.watches { return output.tell(report) }
    do throws(CommandError) {
      try Watch.run(output, nil) { () throws(CommandError) in
        do throws(ClusterError) { return try look() } catch { throw .failure("\(error)") }
      }
    } catch {
      throw .other(error.lines.joined(separator: "; "))
    }
  }
}

enum ClusterList {
  static func run(_ words: [String]) throws(ClusterFailure) {
    let options = try ClusterOptions(words, flags: ["--json", "--watch"])
    try ClusterStatus.show(options) { () throws(ClusterError) in
      let home = try ClusterHome.current()
      var found: [ClusterReport] = []
      for name in try home.names() {
        let cluster = Cluster(name, in: home)
        found.append(ClusterReport(cluster: cluster, status: try cluster.status()))
      }
      return ClusterListReport(clusters: found)
    }
  }
}
