// The daemons of a cluster: how to start each one, and how to recognize a running one.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// One daemon of a cluster.
public enum Daemon: Hashable, Sendable, CustomStringConvertible {
  case munged, controller, sshd
  /// The slurmd of one node.
  case node(String)

  /// The daemon's name in messages and in the name of its log.
  public var description: String {
    switch self {
    case .munged: "munged"
    case .controller: "slurmctld"
    case .sshd: "sshd"
    case .node(let name): "slurmd-\(name)"
    }
  }

  /// The cluster's daemons on this host, in the order of their start.
  static func all(_ shape: Shape) -> [Daemon] {
    // A cluster over several hosts needs no sshd of its own: tunnels use the sshd of those hosts.
    [.munged, .controller] + (shape.fleet == nil ? [.sshd] : [])
      + shape.localNodeNames.map { .node($0) }
  }

  /// The arguments after the program's path.
  func arguments(_ layout: Layout, _ programs: Programs) -> [String] {
    switch self {
    case .munged:
      // --force: munged warns that other users could reach the socket. spunnelctl has checked that
      // they cannot.
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

  /// The path of the program.
  func program(_ programs: Programs) -> String {
    switch self {
    case .munged: programs.munged
    case .controller: programs.slurmctld
    case .sshd: programs.sshd
    case .node: programs.slurmd
    }
  }

  /// Recognizes a process as a daemon of the cluster by its arguments, which name one of the
  /// cluster's files. This needs no pid file, which could be lost or stale.
  ///
  /// - Returns: `nil` for any other process
  init?(_ process: ProcessEntry, of layout: Layout) {
    // sshd overwrites its arguments with a title: one word with the whole command line.
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

/// The running daemons of one cluster.
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

  /// The order to stop the daemons: nodes first, so that the controller can note their ends; munged
  /// last, because all others need it.
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
  /// Ends all daemons: TERM, a bounded wait, KILL.
  func stop() throws(ClusterError) {
    let order = stopOrder
    // Every node gets its signal before the first wait: nodes are many and independent.
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
    // slurmctld has a script runner and sshd has connections, in the daemon's own session: they end
    // with it. The children of a slurmd are job steps, which outlive it as on any cluster.
    var helpers = [id]
    if case .node = daemon {
    } else {
      helpers += ProcessTable.own().filter { $0.session == id && $0.id != id }.map(\.id)
    }
    // slurmctld first writes its state, which took at most 2 s.
    if !waitForEnd([id], milliseconds: 15_000) { _ = kill(id, SIGKILL) }
    if waitForEnd(helpers, milliseconds: 500) { return }
    for helper in helpers { _ = kill(helper, SIGKILL) }
    if !waitForEnd(helpers, milliseconds: 5_000) {
      throw .stillRunning("\(daemon) (process \(id))")
    }
  }

  private static func waitForEnd(_ ids: [pid_t], milliseconds: Int) -> Bool {
    waitUntil(milliseconds: milliseconds) {
      // A daemon that this process started stays a zombie until it is waited for.
      for id in ids { _ = Process.poll(id) }
      return !ids.contains { ProcessTable.isRunning($0) }
    }
  }
}

/// Polls a condition until it is true.
///
/// - Parameters:
///   - milliseconds: the longest wait
///   - condition: the condition to poll
/// - Returns: whether it became true in time
func waitUntil(milliseconds: Int, _ condition: () -> Bool) -> Bool {
  let deadline = Clock.milliseconds() + milliseconds
  while !condition() {
    if Clock.milliseconds() >= deadline { return false }
    usleep(3000)
  }
  return true
}
