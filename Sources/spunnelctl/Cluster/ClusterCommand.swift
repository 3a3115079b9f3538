// `spunnelctl cluster`: its subcommands, and what they share.

import SpunnelCLI
import SpunnelCluster

enum ClusterCommand {
  static let spec = CommandSpec(
    "cluster", "Run a Slurm of your own on this machine, without root.",
    sharedOptions: [ClusterOptions.name],
    details: """
      Options of up are remembered. Everything is in $XDG_STATE_HOME/spunnel/clusters/NAME
      (~/.local/state/…); remove the folder, and the cluster is gone. There is no slurmdbd, so
      sacct knows nothing: use scontrol show job, or the file log/jobs.log in that folder.
      """,
    examples: [
      .init("spunnelctl cluster up", "Start it."),
      .init("spunnelctl cluster exec srun hostname", "Run a command that means it."),
      .init("spunnelctl cluster down", "Stop it."),
    ],
    subcommands: [
      ClusterUp.spec, ClusterDown.spec, ClusterStatus.spec, ClusterEnvironment.spec,
      ClusterExec.spec, ClusterList.spec,
    ])
}

enum ClusterOptions {
  static let name = Option("name", "NAME", .clusterName, "Name the cluster (default).")

  /// The cluster that the options name.
  static func cluster(_ call: Call) throws(CommandError) -> Cluster {
    try clustering(call) { () throws(ClusterError) in
      Cluster(call[name] ?? .standard, in: try .current())
    }
  }
}

/// Runs a body and turns its `ClusterError` into a `CommandError`. A malformed value is a usage
/// error.
func clustering<Value: ~Copyable>(
  _ call: Call, _ body: () throws(ClusterError) -> Value
) throws(CommandError) -> Value {
  do throws(ClusterError) { return try body() } catch {
    if case .malformed = error { throw .usage("\(call.name): \(error)") }
    throw .failure("\(call.name): \(error)")
  }
}

extension ValueKind<ClusterName> {
  /// The name of a cluster, completed from the existing ones.
  static var clusterName: ValueKind {
    ValueKind(
      completion: .asked { _ in
        ((try? ClusterHome.current().names()) ?? []).map { Candidate("\($0)") }
      },
      read: { text throws(ValueError) in
        try wanted { () throws(ClusterError) in try ClusterName(text) }
      })
  }
}

extension ValueKind<MemorySize> {
  static var memory: ValueKind {
    ValueKind { text throws(ValueError) in
      try wanted { () throws(ClusterError) in try MemorySize(text) }
    }
  }
}

/// Runs a body and turns a malformed value into what to write instead.
private func wanted<Value>(
  _ read: () throws(ClusterError) -> Value
) throws(ValueError) -> Value {
  do throws(ClusterError) { return try read() } catch {
    if case .malformed(_, _, let wanted) = error { throw ValueError(wanted: wanted) }
    throw ValueError(wanted: "\(error)")
  }
}
