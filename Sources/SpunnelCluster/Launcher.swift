// Starts daemons in order: each one once the daemons that it needs answer.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// Starts the daemons of one cluster.
struct Launcher {
  private let layout: Layout
  private let programs: Programs
  private let ports: Ports
  private let environment: [ByteString]

  /// - Parameter peers: the addresses of the cluster's other hosts
  init(_ layout: Layout, _ programs: Programs, _ ports: Ports?, peers: [String] = []) {
    self.layout = layout
    self.programs = programs
    self.ports = ports ?? Ports(controller: 0, sshd: 0, nodes: [])
    environment =
      Slurm.environment(layout, programs) + ["LD_PRELOAD=\(layout.plugin)/loopback.so"]
      + (peers.isEmpty ? [] : ["SPUNNEL_PEERS=\(peers.joined(separator: ","))"])
  }

  /// Starts daemons and waits until each answers.
  ///
  /// - Returns: the daemons with their process ids
  /// - Throws: `portsTaken`, `daemon` or `late` for the first daemon that fails
  func start(_ daemons: [Daemon]) throws(ClusterError) -> [(daemon: Daemon, id: pid_t)] {
    var started: [(daemon: Daemon, id: pid_t)] = []
    // A killed munged may leave its socket. With the old socket there, the wait for the new one
    // would end too early.
    if daemons.contains(.munged) { _ = unsafe unlink(layout.mungeSocket) }
    // sshd is started first and reads its keys while the others start.
    for daemon in [Daemon.sshd, .munged, .controller] where daemons.contains(daemon) {
      started.append((daemon, try launch(daemon)))
      // The controller asks munged. A node that does not find the controller tries again only a
      // second later.
      if daemon != .sshd { try wait(for: daemon, started[started.count - 1].id) }
    }
    for daemon in daemons {
      if case .node = daemon { started.append((daemon, try launch(daemon))) }
    }
    for (daemon, id) in started where daemon != .munged && daemon != .controller {
      try wait(for: daemon, id)
    }
    return started
  }

  /// Checks that all daemons still run. A process of another user may have taken a port first and
  /// answered there.
  func check(_ started: [(daemon: Daemon, id: pid_t)]) throws(ClusterError) {
    for (daemon, id) in started where Process.poll(id) != .running { throw failure(of: daemon) }
  }

  private func launch(_ daemon: Daemon) throws(ClusterError) -> pid_t {
    // Each daemon has one log. The previous log becomes `.old`.
    let log = layout.log(of: "\(daemon)")
    let logs = daemon == .controller ? "\(log):\(layout.log(of: "jobs"))" : log
    var program = Program(
      daemon.program(programs), daemon.arguments(layout, programs),
      environment: environment + ["SPUNNEL_LOGS=\(logs)"])
    program.raisesDescriptorLimit = daemon == .controller
    _ = unsafe rename(log, log + ".old")
    return try working { () throws(SystemError) in
      try program.start(output: daemon == .munged ? log : "/dev/null")
    }
  }

  private func wait(for daemon: Daemon, _ id: pid_t) throws(ClusterError) {
    var ended = false
    let answers = waitUntil(milliseconds: 20_000) {
      if Process.poll(id) != .running {
        ended = true
        return true
      }
      return isAnswering(daemon)
    }
    if ended { throw failure(of: daemon) }
    if !answers { throw .late("\(daemon) did not answer", lookAt: layout.log(of: "\(daemon)")) }
  }

  private func isAnswering(_ daemon: Daemon) -> Bool {
    switch daemon {
    case .munged: Socket.canConnect(unix: layout.mungeSocket)
    case .controller, .sshd, .node:
      ports.port(of: daemon).map { Socket.canConnect(.v4, port: $0) } ?? true
    }
  }

  /// Why a daemon ended: another process had its port, or the daemon's own error.
  private func failure(of daemon: Daemon) -> ClusterError {
    if let port = ports.port(of: daemon), !FreePorts.isFree(port) {
      return .portsTaken(attempts: 1)
    }
    let words = Launcher.reason(in: Launcher.lines(layout.log(of: "\(daemon)")))
    return .daemon("\(daemon)", lastWords: words ?? wordsOnceMore(daemon))
  }

  /// The first error in a log, and the error that ended the daemon. The first is usually the cause,
  /// but not always.
  static func reason(in log: [String]) -> String? {
    let lines = log.map(withoutTime)
    let errors = lines.filter { $0.contains("rror:") || $0.contains("fatal:") }
    guard let first = errors.first,
      let last = errors.last(where: { $0.contains("fatal:") }) ?? errors.last
    else { return lines.last }
    return first == last ? last : "\(first) … \(last)"
  }

  /// Strips the time in brackets with which Slurm begins a log line.
  private static func withoutTime(_ line: String) -> String {
    guard line.hasPrefix("["), let end = line.firstRange(of: "] ") else { return line }
    return String(line[end.upperBound...])
  }

  /// Runs a daemon again to see its error. Slurm's daemons end before they have a log if their
  /// configuration is wrong.
  private func wordsOnceMore(_ daemon: Daemon) -> String {
    let program = Program(
      daemon.program(programs), daemon.arguments(layout, programs), environment: environment)
    return (try? program.capture(milliseconds: 2_000).lastLine) ?? "it ended without a word"
  }

  private static func lines(_ path: String) -> [String] {
    guard let file = try? FileDescriptor.open(path, O_RDONLY),
      let content = try? file.read(atMost: 1 << 20)
    else { return [] }
    return String(decoding: content, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}
