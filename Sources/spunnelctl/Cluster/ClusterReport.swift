// The results of `cluster status`, `list`, `up`, `down` and `env`. docs/personal-cluster.md
// describes the JSON.

import SpunnelCluster
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

/// The result of `cluster status`.
struct ClusterReport: Report {
  let cluster: Cluster
  let status: Cluster.Status

  var text: String {
    var lines = [
      "cluster \(cluster.name): \(stateText), \(ClusterUp.describe(status.shape))",
      "folder  \(cluster.layout.folder)",
    ]
    if status.state == .down { return lines.joined(separator: "\n") }
    lines.append("memory  \(status.memory / 1024)M in all daemons")
    if let jobs = status.jobs {
      lines.append("jobs    \(jobs.running) running, \(jobs.waiting) waiting")
    }
    var table = Table(["DAEMON", "PROCESS", "PORT"])
    for (daemon, id) in status.daemons {
      table.add([
        "\(daemon)", id.map { String($0) } ?? "not running",
        status.ports?.port(of: daemon).map(String.init) ?? "-",
      ])
    }
    return (lines + [table.text]).joined(separator: "\n")
  }

  private var stateText: String {
    switch status.state {
    case .up: "up"
    case .down: "down"
    case .partial: "not all of it runs (spunnelctl cluster up starts the rest)"
    }
  }

  var object: JSON {
    JSON([
      "name": .string(cluster.name.description), "state": .string(status.state.rawValue),
      "folder": .string(cluster.layout.folder),
      "slurmConf": .string(cluster.layout.slurmConfiguration),
      "nodes": .number(status.shape.nodes), "nodeStates": .strings(status.nodeStates),
      "cpus": .number(status.shape.processors),
      "memoryMiB": .number(status.shape.memory.mebibytes), "gpus": .number(status.shape.gpus),
      "policy": .string(status.shape.policy.rawValue),
      "daemons": .array(
        status.daemons.map { daemon, id in
          JSON([
            "name": .string("\(daemon)"), "pid": .number(id),
            "port": .number(status.ports?.port(of: daemon)),
          ])
        }),
      "daemonsMemoryKiB": .number(status.memory),
      "jobs": status.jobs.map {
        JSON(["running": .number($0.running), "waiting": .number($0.waiting)])
      },
    ])
  }
}

/// The result of `cluster list`.
struct ClusterListReport: Report {
  let clusters: [ClusterReport]

  var text: String {
    if clusters.isEmpty {
      return "no clusters of \(Host.userName); spunnelctl cluster up makes one"
    }
    var table = Table([
      "NAME", "STATE", "NODES", "CPUS", "MEMORY", "GPUS", "POLICY", "RUNNING", "WAITING",
    ])
    for (name, status) in clusters.map({ ($0.cluster.name, $0.status) }) {
      table.add([
        "\(name)", status.state.rawValue, String(status.shape.nodes),
        String(status.shape.processors), "\(status.shape.memory)", String(status.shape.gpus),
        status.shape.policy.rawValue, status.jobs.map { String($0.running) } ?? "-",
        status.jobs.map { String($0.waiting) } ?? "-",
      ])
    }
    return table.text
  }

  var object: JSON {
    JSON(["clusters": .array(clusters.map(\.versionedObject))])
  }
}

/// The result of `cluster up`: the cluster, and what was started.
struct ClusterUpReport: Report {
  let cluster: ClusterReport
  let result: UpResult

  var text: String {
    let shape = ClusterUp.describe(cluster.status.shape)
    switch result {
    case .started: return "cluster '\(cluster.cluster.name)' is up: \(shape)"
    case .repaired(let daemons):
      let names = daemons.map(\.description).joined(separator: ", ")
      return "cluster '\(cluster.cluster.name)' is up again: started \(names)"
    case .wasUp: return "cluster '\(cluster.cluster.name)' is up already: \(shape)"
    }
  }

  var object: JSON {
    switch result {
    case .started: cluster.object.adding(["result": .string("started")])
    case .repaired(let daemons):
      cluster.object.adding([
        "result": .string("repaired"), "started": .strings(daemons.map(\.description)),
      ])
    case .wasUp: cluster.object.adding(["result": .string("wasUp")])
    }
  }
}

/// The result of `cluster down`.
struct ClusterDownReport: Report {
  let name: ClusterName
  let result: DownResult

  var text: String {
    switch result {
    case .wasDown: "cluster '\(name)' is not up"
    case .stopped(let waiting?) where waiting > 0:
      "cluster '\(name)' is down; \(waiting) waiting "
        + "\(waiting == 1 ? "job stays" : "jobs stay") in its queue for the next up"
    case .stopped: "cluster '\(name)' is down"
    }
  }

  var object: JSON {
    let told: (result: String, waiting: Int?) =
      switch result {
      case .wasDown: ("wasDown", nil)
      case .stopped(let waiting): ("stopped", waiting)
      }
    return JSON([
      "name": .string(name.description), "result": .string(told.result),
      "waiting": .number(told.waiting),
    ])
  }
}

/// The result of `cluster env`: text for a shell to evaluate, or JSON.
struct EnvironmentReport: Report {
  let change: EnvironmentChange
  var shell = Shell.sh

  var text: String {
    let set = change.set.map { shell.setting($0.name, $0.value) }
    let lists = change.lists.map { shell.prepending($0.folders, to: $0.name) }
    return (set + lists).joined(separator: "\n")
  }

  var object: JSON {
    JSON([
      "set": named(change.set.map { ($0.name, .string($0.value)) }),
      "prepend": named(change.lists.map { ($0.name, .strings($0.folders)) }),
    ])
  }

  private func named(_ values: [(String, JSON)]) -> JSON {
    values.reduce(JSON([:])) { $0.adding([$1.0: $1.1]) }
  }
}
