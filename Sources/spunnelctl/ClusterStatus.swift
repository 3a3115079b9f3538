// spunnelctl cluster status and list: for people as lines and a table, for programs as JSON.

import FoundationEssentials
import Glibc
import Spunnel
import SpunnelCluster
import SpunnelSystem

enum ClusterStatus {
  static func run(_ words: [String]) throws(ClusterFailure) {
    let options = try ClusterOptions(words, flags: ["--json"])
    let cluster = try options.cluster()
    let status = try clustering { () throws(ClusterError) in try cluster.status() }
    if options.flags.contains("--json") {
      try sayJSON(ClusterReport(cluster, status))
    } else {
      show(cluster, status)
    }
  }

  private static func show(_ cluster: Cluster, _ status: Cluster.Status) {
    say("cluster \(cluster.name): \(stateText(status)), \(ClusterUp.describe(status.shape))")
    say("folder  \(cluster.layout.folder)")
    if status.state == .down { return }
    say("memory  \(status.memory / 1024)M in all daemons")
    if let jobs = status.jobs { say("jobs    \(jobs.running) running, \(jobs.waiting) waiting") }
    var table = Table(["DAEMON", "PROCESS", "PORT"])
    for (daemon, id) in status.daemons {
      table.add([
        "\(daemon)", id.map { String($0) } ?? "not running",
        port(of: daemon, status).map { String($0) } ?? "-",
      ])
    }
    say(table.text)
  }

  private static func stateText(_ status: Cluster.Status) -> String {
    switch status.state {
    case .up: "up"
    case .down: "down"
    case .partial: "not all of it runs (spunnelctl cluster up starts the rest)"
    }
  }

  static func port(of daemon: Daemon, _ status: Cluster.Status) -> UInt16? {
    guard let ports = status.ports else { return nil }
    switch daemon {
    case .munged: return nil
    case .controller: return ports.controller
    case .sshd: return ports.sshd
    case .node(let name):
      let number = status.shape.nodeNames.firstIndex(of: name)
      return number.flatMap { ports.nodes.indices.contains($0) ? ports.nodes[$0] : nil }
    }
  }

  static func sayJSON(_ report: some Encodable) throws(ClusterFailure) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(report) else {
      throw .other("write JSON: there is text that cannot be written")
    }
    say(String(decoding: data, as: UTF8.self))
  }
}

enum ClusterList {
  static func run(_ words: [String]) throws(ClusterFailure) {
    let options = try ClusterOptions(words, flags: ["--json"])
    let found = try clustering { () throws(ClusterError) in
      let home = try ClusterHome.current()
      var found: [(Cluster, Cluster.Status)] = []
      for name in try home.names() {
        let cluster = Cluster(name, in: home)
        found.append((cluster, try cluster.status()))
      }
      return found
    }
    if options.flags.contains("--json") {
      return try ClusterStatus.sayJSON(ClusterListReport(found))
    }
    if found.isEmpty {
      return say("no clusters of \(Host.userName); spunnelctl cluster up makes one")
    }
    var table = Table([
      "NAME", "STATE", "NODES", "CPUS", "MEMORY", "GPUS", "POLICY", "RUNNING", "WAITING",
    ])
    for (cluster, status) in found {
      table.add([
        "\(cluster.name)", status.state.rawValue, String(status.shape.nodes),
        String(status.shape.processors), "\(status.shape.memory)", String(status.shape.gpus),
        status.shape.policy.rawValue, status.jobs.map { String($0.running) } ?? "-",
        status.jobs.map { String($0.waiting) } ?? "-",
      ])
    }
    say(table.text)
  }
}

/// What `cluster list --json` prints.
private struct ClusterListReport: Encodable {
  let version = 1
  let clusters: [ClusterReport]

  init(_ found: [(Cluster, Cluster.Status)]) {
    clusters = found.map { ClusterReport($0.0, $0.1) }
  }
}

/// What `cluster status --json` prints, as docs/personal-cluster.md describes it.
private struct ClusterReport: Encodable {
  struct Entry: Encodable {
    let name: String
    let pid: Int?
    let port: UInt16?
  }

  struct Jobs: Encodable {
    let running: Int
    let waiting: Int
  }

  let version = 1
  let name: String
  let state: String
  let folder: String
  let slurmConf: String
  let nodes: Int
  let nodeStates: [String]
  let cpus: Int
  let memoryMiB: Int
  let gpus: Int
  let policy: String
  let daemons: [Entry]
  let daemonsMemoryKiB: Int
  let jobs: Jobs?

  init(_ cluster: Cluster, _ status: Cluster.Status) {
    name = cluster.name.description
    state = status.state.rawValue
    folder = cluster.layout.folder
    slurmConf = cluster.layout.slurmConfiguration
    nodes = status.shape.nodes
    nodeStates = status.nodeStates
    cpus = status.shape.processors
    memoryMiB = status.shape.memory.mebibytes
    gpus = status.shape.gpus
    policy = status.shape.policy.rawValue
    daemons = status.daemons.map { entry in
      Entry(
        name: "\(entry.daemon)", pid: entry.id.map { Int($0) },
        port: ClusterStatus.port(of: entry.daemon, status))
    }
    daemonsMemoryKiB = status.memory
    jobs = status.jobs.map { Jobs(running: $0.running, waiting: $0.waiting) }
  }
}
