// Brings a cluster up: files, ports and daemons, until the nodes accept jobs.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// The request of `spunnelctl cluster up`.
public struct UpRequest: Sendable {
  public var shape = ShapeRequest()
  /// The absolute path of an unpacked Slurm; `nil` keeps the earlier choice.
  public var slurmPrefix: String?
  /// The absolute path of the folder with spunnel.so and loopback.so.
  public let pluginFolder: String

  public init(pluginFolder: String) { self.pluginFolder = pluginFolder }
}

/// The result of `up`.
public enum UpResult: Sendable {
  case started
  /// Dead daemons were started again.
  case repaired([Daemon])
  case wasUp
}

extension Cluster {
  /// How often to choose new ports before giving up.
  private static let portAttempts = 5

  /// Brings the cluster up. If two run at once, the second waits and finds the cluster up.
  ///
  /// - Throws: the first failure; every daemon that this attempt started is ended
  public func up(_ request: UpRequest) throws(ClusterError) -> UpResult {
    if unsafe getpwuid(home.user) == nil { throw .unknownUser(home.user) }
    if Host.name.utf8.count > 63 { throw .longHostName(Host.name) }
    let folder = try home.create(name)
    _ = try working { () throws(SystemError) in try folder.lock(waiting: true) }
    var record = Cluster.record(in: folder)
    let running = RunningDaemons(of: layout)
    if running.isEmpty {
      record.request = request.shape.filled(from: record.request)
      record.slurmPrefix = request.slurmPrefix ?? record.slurmPrefix
    }
    let programs = try Programs.find(prefix: record.slurmPrefix)
    var startup = Startup(
      layout: layout, programs: programs, record: record, request: request, user: home.user,
      fleet: Fleet.kept(in: folder))
    return try startup.run(folder, running)
  }

  /// One attempt to bring a cluster up. The caller holds the lock of its folder.
  private struct Startup {
    let layout: Layout
    let programs: Programs
    var record: SavedRecord
    let request: UpRequest
    let user: uid_t
    var fleet: Fleet?

    private var shape: Shape { Shape(record.request, on: .current, fleet) }

    mutating func run(
      _ folder: borrowing Directory, _ running: RunningDaemons
    ) throws(ClusterError) -> UpResult {
      let absent = Daemon.all(shape).filter { !running.contains($0) }
      if absent.isEmpty {
        let started = try startHosts(folder)
        try Slurm(layout, programs).startsJobs(true)
        return started.isEmpty ? .wasUp : .repaired(started)
      }
      if !running.isEmpty {
        try start(absent, folder)
        return .repaired(absent)
      }
      try startAll(folder)
      return .started
    }

    /// Starts a cluster that is down. If another process takes a port, it tries again with others.
    private mutating func startAll(_ folder: borrowing Directory) throws(ClusterError) {
      let began = time(nil)
      try resolveHosts(folder)
      let jobsAreGone = !JobProcesses.surviving(layout)
      for attempt in 1...Cluster.portAttempts {
        try choosePorts(keeping: attempt == 1)
        try ClusterFiles(layout, programs, request, user).write(record, shape, in: folder)
        do throws(ClusterError) { try start(Daemon.all(shape), folder) } catch {
          if case .portsTaken = error { continue }
          throw error
        }
        // After a reboot the controller believes that the earlier jobs still run. It would notice
        // only at the node's next registration, half an hour later, and for an srun never.
        let slurm = Slurm(layout, programs)
        if jobsAreGone { try slurm.requeue(try slurm.jobsRunning(before: began)) }
        return
      }
      throw .portsTaken(attempts: Cluster.portAttempts)
    }

    /// Chooses the ports. Those of the last time are kept if they are free, so that surviving
    /// processes find their controller.
    private mutating func choosePorts(keeping: Bool) throws(ClusterError) {
      // The ports of described nodes are in the description of the hosts.
      let count = fleet == nil ? shape.nodes : 0
      if keeping, let ports = record.ports, ports.nodes.count == count,
        ports.all.allSatisfy({ FreePorts.isFree($0) })
      {
        return
      }
      let free = try working { () throws(SystemError) in try FreePorts.choose(count + 2) }
      record.ports = Ports(controller: free[0], sshd: free[1], nodes: Array(free[2...]))
    }

    /// Starts daemons and waits until the nodes accept jobs. If a daemon fails, it ends all of
    /// them.
    private func start(
      _ daemons: [Daemon], _ folder: borrowing Directory
    ) throws(ClusterError) {
      let peers = fleet?.nodes.filter { !$0.isLocal }.compactMap(\.address) ?? []
      let launcher = Launcher(layout, programs, record.ports, peers: Set(peers).sorted())
      do throws(ClusterError) {
        let started = try launcher.start(daemons)
        _ = try startHosts(folder)
        try waitForNodes { () throws(ClusterError) in try launcher.check(started) }
        // The nodes would look well, but only one of them would run jobs.
        if shape.sharesHosts, !(try Slurm(layout, programs).hasManyNodes()) { throw .oneNode }
        // A `down` that was killed may have left the partition closed. Opening it also makes the
        // controller look at its queue soon. This look comes three seconds after its start, because
        // batch_sched_delay is read only at the first look.
        try Slurm(layout, programs).startsJobs(true)
      } catch {
        try RunningDaemons(of: layout).keeping { daemons.contains($0) }.stop()
        // The first failure is reported, so a failure here is ignored.
        if let fleet, fleet.isRemote { try? FleetHosts(layout, programs).stop(fleet) }
        throw error
      }
    }

    /// Asks the other hosts for their facts, while no daemon of the cluster runs.
    private mutating func resolveHosts(_ folder: borrowing Directory) throws(ClusterError) {
      guard let described = fleet else { return }
      try working { () throws(SystemError) in
        for name in Layout.folders { try folder.create(name) }
      }
      let found = try FleetHosts(layout, programs).resolve(described)
      try working { () throws(SystemError) in try found.keep(in: folder) }
      fleet = found
    }

    private func startHosts(_ folder: borrowing Directory) throws(ClusterError) -> [Daemon] {
      guard let fleet, fleet.isRemote else { return [] }
      return try FleetHosts(layout, programs).start(fleet, in: folder)
    }

    private func waitForNodes(
      _ check: () throws(ClusterError) -> Void
    ) throws(ClusterError) {
      let slurm = Slurm(layout, programs)
      let deadline = Clock.milliseconds() + 30_000
      while true {
        try check()
        let nodes = try? slurm.nodes()
        let late = nodes?.filter { !Startup.isUsable($0.state) }.map(\.name)
        if let nodes, nodes.count == shape.nodes, late?.isEmpty ?? false { break }
        if Clock.milliseconds() >= deadline { throw tooLate(late ?? []) }
        usleep(3000)
      }
      try check()
    }

    private func tooLate(_ nodes: [String]) -> ClusterError {
      guard let fleet, let name = nodes.first else {
        return .late("the nodes did not become ready", lookAt: layout.log)
      }
      let host = fleet.nodes.first { $0.name == name }?.host ?? name
      let names = nodes.prefix(10).joined(separator: ", ") + (nodes.count > 10 ? " …" : "")
      return .late(
        "\(names) did not become ready", lookAt: "\(host):\(layout.log(of: "slurmd-" + name))")
    }

    private static func isUsable(_ state: String) -> Bool {
      ["idle", "mixed", "allocated", "completing"].contains(state)
    }
  }
}

extension RunningDaemons {
  /// The daemons for which a condition holds.
  fileprivate func keeping(_ condition: (Daemon) -> Bool) -> RunningDaemons {
    var part = self
    part.filter(condition)
    return part
  }
}
