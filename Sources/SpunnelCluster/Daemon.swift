// The daemons of a cluster: how each is started, and how a running one is told from another's.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// One daemon of a cluster.
public enum Daemon: Hashable, Sendable, CustomStringConvertible {
  case munged, controller, sshd
  /// The slurmd of a node.
  case node(String)

  /// As it is called in messages, and how its log is named.
  public var description: String {
    switch self {
    case .munged: "munged"
    case .controller: "slurmctld"
    case .sshd: "sshd"
    case .node(let name): "slurmd-\(name)"
    }
  }

  /// The daemons of a cluster on this host in the order in which they are started.
  static func all(_ shape: Shape) -> [Daemon] {
    // Tunnels to other hosts go by the user's own ssh, through those hosts' sshd.
    [.munged, .controller] + (shape.fleet == nil ? [.sshd] : [])
      + shape.localNodeNames.map { .node($0) }
  }

  /// The argument vector behind the program's path.
  func arguments(_ layout: Layout, _ programs: Programs) -> [String] {
    switch self {
    case .munged:
      // --force: others cannot reach the socket, which is what munged warns about. What else it
      // would warn about, spunnelctl has checked.
      [
        "--foreground", "--force", "--num-threads=2", "--socket=" + layout.mungeSocket,
        "--key-file=" + layout.mungeKey, "--pid-file=" + layout.state + "/munged.pid",
        "--seed-file=" + layout.state + "/munge.seed",
      ]
    case .controller: ["-D", "-f", layout.slurmConfiguration]
    case .sshd: ["-D", "-f", layout.sshdConfiguration, "-E", layout.log(of: "sshd")]
    case .node(let name):
      ["-D", "-N", name, "-f", layout.slurmConfiguration, "-d", layout.programs + "/slurmstepd"]
    }
  }

  func program(_ programs: Programs) -> String {
    switch self {
    case .munged: programs.munged
    case .controller: programs.slurmctld
    case .sshd: programs.sshd
    case .node: programs.slurmd
    }
  }

  /// Which daemon of the cluster a process is: its arguments name one of the cluster's files. Needs
  /// no record that could be lost or lie.
  init?(_ process: ProcessEntry, of layout: Layout) {
    // sshd writes a title over its arguments: one word with the whole command line.
    let words = process.arguments.flatMap { $0.split(separator: " ").map(String.init) }
    let isListener = !words.contains { $0 == "[priv]" || $0.hasSuffix("[priv]") }
    if words.contains("--socket=" + layout.mungeSocket) {
      self = .munged
    } else if words.contains(layout.sshdConfiguration), isListener {
      self = .sshd
    } else if words.contains(layout.slurmConfiguration), let option = words.firstIndex(of: "-N"),
      option + 1 < words.count, words.contains("-D")
    {
      self = .node(words[option + 1])
    } else if words.contains(layout.slurmConfiguration), words.contains("-D") {
      self = .controller
    } else {
      return nil
    }
  }
}

/// The daemons of one cluster that run.
struct RunningDaemons {
  private(set) var ids: [Daemon: [pid_t]] = [:]

  init(of layout: Layout) {
    for process in ProcessTable.own() {
      if let daemon = Daemon(process, of: layout) { ids[daemon, default: []].append(process.id) }
    }
  }

  var isEmpty: Bool { ids.isEmpty }
  mutating func filter(_ condition: (Daemon) -> Bool) { ids = ids.filter { condition($0.key) } }
  func contains(_ daemon: Daemon) -> Bool { ids[daemon] != nil }

  /// Nodes first, so that the controller can still note their ends; munged last, which all need.
  var stopOrder: [Daemon] {
    func rank(_ daemon: Daemon) -> Int {
      switch daemon {
      case .node: 0
      case .controller: 1
      case .sshd: 2
      case .munged: 3
      }
    }
    return ids.keys.sorted { (rank($0), $0.description) < (rank($1), $1.description) }
  }
}

// MARK: - Stopping

extension RunningDaemons {
  /// Ends all of them: TERM, a bounded wait, KILL.
  func stop() throws(ClusterError) {
    let order = stopOrder
    // Nodes are many and independent: all are told before the first is waited for.
    for daemon in order { if case .node = daemon { signal(daemon, SIGTERM) } }
    for daemon in order {
      signal(daemon, SIGTERM)
      for id in ids[daemon] ?? [] { try RunningDaemons.end(id, daemon) }
    }
  }

  private func signal(_ daemon: Daemon, _ number: CInt) {
    for id in ids[daemon] ?? [] { _ = kill(id, number) }
  }

  private static func end(_ id: pid_t, _ daemon: Daemon) throws(ClusterError) {
    // What a daemon started for itself: slurmctld's script runner, sshd's connections. A node's
    // children are job steps, which outlive it as they do on any cluster.
    var helpers = [id]
    if case .node = daemon {
    } else {
      helpers += ProcessTable.own().filter { $0.session == id && $0.id != id }.map(\.id)
    }
    // slurmctld writes its state first, which took 2 s at the most.
    if !waitForEnd([id], milliseconds: 15_000) { _ = kill(id, SIGKILL) }
    if waitForEnd(helpers, milliseconds: 500) { return }
    for helper in helpers { _ = kill(helper, SIGKILL) }
    if !waitForEnd(helpers, milliseconds: 5_000) {
      throw .stillRunning("\(daemon) (process \(id))")
    }
  }

  private static func waitForEnd(_ ids: [pid_t], milliseconds: Int) -> Bool {
    waitUntil(milliseconds: milliseconds) {
      // Those of them that this process started itself stay zombies until they are waited for.
      for id in ids { _ = Process.poll(id) }
      return !ids.contains { ProcessTable.isRunning($0) }
    }
  }
}

/// Looks again and again until something is true.
///
/// - Returns: whether it came true in time
func waitUntil(milliseconds: Int, _ condition: () -> Bool) -> Bool {
  let deadline = Clock.milliseconds() + milliseconds
  while !condition() {
    if Clock.milliseconds() >= deadline { return false }
    usleep(3000)
  }
  return true
}
