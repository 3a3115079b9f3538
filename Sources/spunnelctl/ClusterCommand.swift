// spunnelctl cluster: which subcommands there are, and the options that they share.

import Glibc
import SpunnelCluster
import SpunnelSystem

enum ClusterCommand: Command {
  static let name = "cluster"
  static let synopsis = "up|down|status|env|exec|list [OPTION…]"
  static let summary = "Run a Slurm of your own on this machine, without root."
  static let takesCommandLine = true
  static let details = """
      up      bring it up; when it is up already, say so
        --cpus N, --memory SIZE, --gpus N   of each node; more than the machine has is allowed
        --nodes N                           several nodes on this machine (1)
        --policy fifo|largest-first         which waiting job is next (fifo)
        --slurm-prefix DIR                  a Slurm that was unpacked in DIR
        --json                              one JSON object, as status prints it
      down    stop it; jobs that wait stay in its queue for the next up
        --wait                              until the running jobs have ended
        --now                               cancel the running jobs
        --json
      status  show it [--json] [--watch]
      env     print what a shell evaluates, so that Slurm's commands mean it [--json]
      exec    run a command that means it: spunnelctl cluster exec srun hostname
      list    show all of yours [--json] [--watch]

      --name NAME   which one (default); before the command, in exec

    Options of up are remembered. Everything is in $XDG_STATE_HOME/spunnel/clusters/NAME
    (~/.local/state/…); remove the folder, and the cluster is gone. There is no slurmdbd, so
    sacct knows nothing: use scontrol show job, or the file log/jobs.log in that folder.
    """

  static func run(_ words: [String]) throws(CommandError) {
    guard let first = words.first else {
      throw .usage("cluster: name what to do, as in spunnelctl cluster up")
    }
    let rest = Array(words.dropFirst())
    do throws(ClusterFailure) {
      switch first {
      case "up": try ClusterUp.run(rest)
      case "down": try ClusterDown.run(rest)
      case "status": try ClusterStatus.run(rest)
      case "list": try ClusterList.run(rest)
      case "env": try ClusterExec.printEnvironment(rest)
      case "exec": try ClusterExec.run(rest)
      default: throw .usage("'\(printable(first))' is no command")
      }
    } catch {
      switch error {
      case .usage(let message): throw .usage("cluster: \(message)")
      case .cluster(let reason): throw .failure("cluster \(first): \(reason)")
      case .other(let message): throw .failure("cluster \(first): \(message)")
      }
    }
  }
}

/// Why a subcommand stops.
enum ClusterFailure: Error {
  case usage(String)
  case cluster(ClusterError)
  case other(String)
}

/// Runs what throws a `ClusterError`; text that makes no sense is a matter of usage.
func clustering<Value: ~Copyable>(
  _ body: () throws(ClusterError) -> Value
) throws(ClusterFailure) -> Value {
  do throws(ClusterError) { return try body() } catch {
    if case .malformed = error { throw .usage("\(error)") }
    throw .cluster(error)
  }
}

/// A subcommand's options: `--key value`, `--key=value`, and flags.
struct ClusterOptions {
  private(set) var values: [String: String] = [:]
  private(set) var flags: Set<String> = []
  /// What stands behind the options.
  private(set) var rest: [String] = []

  /// - Parameters:
  ///   - words: the command line behind the subcommand
  ///   - keys: options with a value, besides `--name`
  ///   - flags: options without
  ///   - takesRest: whether the first word that is no option ends the options
  init(
    _ words: [String], keys: Set<String> = [], flags known: Set<String> = [],
    takesRest: Bool = false
  ) throws(ClusterFailure) {
    let keys = keys.union(["--name"])
    var next = words[...]
    while let word = next.popFirst() {
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let key = String(parts[0])
      if takesRest && (word == "--" || !word.hasPrefix("-")) {
        rest = (word == "--" ? [] : [word]) + next
        return
      } else if keys.contains(key) {
        let value = parts.count == 2 ? String(parts[1]) : next.popFirst()
        guard let value else { throw .usage("\(key) wants a value") }
        values[key] = value
      } else if known.contains(word) {
        flags.insert(word)
      } else {
        throw .usage("'\(printable(word))' is no option")
      }
    }
  }

  /// The cluster that is meant.
  func cluster() throws(ClusterFailure) -> Cluster {
    try clustering { () throws(ClusterError) in
      let name = try values["--name"].map { text throws(ClusterError) in try ClusterName(text) }
      return Cluster(name ?? .standard, in: try .current())
    }
  }
}
