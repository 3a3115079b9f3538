// Taking a cluster down: no job is lost by accident, no process is left.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// What becomes of jobs that run when a cluster is taken down.
public enum RunningJobs: Sendable {
  /// The cluster stays up, and the jobs are named.
  case refuse
  /// They are waited for; no others are started.
  case wait
  /// They are cancelled.
  case cancel
}

/// What `down` came to.
public enum DownResult: Equatable, Sendable {
  case wasDown
  /// How many jobs wait for the next `up`; `nil` when the controller did not run.
  case stopped(waiting: Int?)
}

extension Cluster {
  /// How long cancelled jobs have to end, in milliseconds: Slurm's KillWait, and what the step's
  /// manager needs behind it.
  private static let cancelPatience = 20_000

  /// Stops all daemons. Jobs that wait stay in the queue for the next `up`.
  ///
  /// - Parameter jobs: what becomes of those that run
  /// - Throws: `busy` when there are some and they are refused
  public func down(_ jobs: RunningJobs) throws(ClusterError) -> DownResult {
    let folder = try home.open(name)
    if case .wait = jobs, folder != nil { try waitForJobs() }
    // Without the folder daemons may still run that were started in it.
    if let folder { _ = try working { () throws(SystemError) in try folder.lock(waiting: true) } }
    let running = RunningDaemons(of: layout)
    let orphans = JobProcesses.find(layout)
    if running.isEmpty && (orphans.isEmpty || jobs == .refuse) {
      if orphans.isEmpty {
        // This host was switched off meanwhile, and the others were not.
        try stopHosts()
        return .wasDown
      }
      throw .headless(name, steps: orphans.count)
    }
    let waiting = try settle(jobs, running, orphans)
    TunnelProcesses.end(layout)
    try running.stop()
    JobProcesses.end(JobProcesses.find(layout))
    try stopHosts()
    return .stopped(waiting: waiting)
  }

  /// Ends the cluster's daemons on other hosts.
  private func stopHosts() throws(ClusterError) {
    guard let folder = try home.open(name), let fleet = Fleet.kept(in: folder), fleet.isRemote
    else {
      return
    }
    let programs = try Programs.find(prefix: Cluster.record(in: folder).slurmPrefix)
    try FleetHosts(layout, programs).stop(fleet)
  }

  /// Sees to it that no job runs.
  ///
  /// - Returns: how many wait
  private func settle(
    _ jobs: RunningJobs, _ running: RunningDaemons, _ orphans: [pid_t]
  ) throws(ClusterError) -> Int? {
    guard running.contains(.controller), running.contains(.munged), let slurm = try slurm() else {
      if jobs != .cancel && !orphans.isEmpty { throw .headless(name, steps: orphans.count) }
      return nil
    }
    // First of all, lest one starts between the look and the end.
    try slurm.startsJobs(false)
    do throws(ClusterError) {
      let found = try slurm.runningJobs()
      if !found.isEmpty {
        if jobs != .cancel { throw ClusterError.busy(name, found) }
        cancel(found, slurm)
      }
      return try slurm.jobCounts().waiting
    } catch {
      try slurm.startsJobs(true)
      throw error
    }
  }

  private func cancel(_ found: [RunningJob], _ slurm: Slurm) {
    // scancel fails of a job that has just ended, too; what counts is which are left.
    try? slurm.cancel(found, kill: false)
    var left = found
    func isEmpty() -> Bool {
      left = (try? slurm.runningJobs()) ?? left
      return left.isEmpty
    }
    if waitUntil(milliseconds: Cluster.cancelPatience, isEmpty) { return }
    try? slurm.cancel(left, kill: true)
    // Those that no signal reaches are ended with their processes when the daemons are gone.
    _ = waitUntil(milliseconds: Cluster.cancelPatience, isEmpty)
  }

  /// Waits without the lock, so that others can look, or lose patience with `--now`.
  private func waitForJobs() throws(ClusterError) {
    guard RunningDaemons(of: layout).contains(.controller), let slurm = try slurm() else { return }
    let signals = try working { () throws(SystemError) in
      try SignalWatch([SIGINT, SIGTERM, SIGHUP])
    }
    try slurm.startsJobs(false)
    while !(try slurm.runningJobs()).isEmpty {
      if signals.descriptor.waitReadable(milliseconds: 200) {
        try slurm.startsJobs(true)
        throw .interrupted
      }
      // Somebody else took the cluster down.
      if !RunningDaemons(of: layout).contains(.controller) { return }
    }
  }

  private func slurm() throws(ClusterError) -> Slurm? {
    guard let folder = try home.open(name) else { return nil }
    return Slurm(layout, try Programs.find(prefix: Cluster.record(in: folder).slurmPrefix))
  }
}

/// The processes of a cluster's jobs.
enum JobProcesses {
  /// The managers of the steps, and what these started. `SLURM_CONF` alone is in the user's own
  /// shell too.
  static func find(_ layout: Layout) -> [pid_t] {
    let own = Set([getpid()] + ProcessTable.ancestors())
    let conf = "SLURM_CONF=" + layout.slurmConfiguration
    return ProcessTable.own().filter { process in
      if own.contains(process.id) { return false }
      let environment = process.environment
      guard environment.contains(conf) else { return false }
      return process.arguments[0].contains("slurmstepd")
        || environment.contains { $0.hasPrefix("SLURMD_NODENAME=") }
    }.map(\.id)
  }

  /// Whether anything of a job still runs: its processes, or the command that holds it.
  static func surviving(_ layout: Layout) -> Bool {
    if !find(layout).isEmpty { return true }
    let conf = "SLURM_CONF=" + layout.slurmConfiguration
    return ProcessTable.own().contains { process in
      let name = process.arguments[0].split(separator: "/").last
      return (name == "srun" || name == "salloc") && process.environment.contains(conf)
    }
  }

  /// Ends them: TERM, a bounded wait, KILL.
  static func end(_ ids: [pid_t]) {
    if ids.isEmpty { return }
    for id in ids { _ = kill(id, SIGTERM) }
    if waitUntil(milliseconds: 2_000, { !ids.contains { ProcessTable.isRunning($0) } }) { return }
    for id in ids { _ = kill(id, SIGKILL) }
  }
}

/// The keepers of tunnels into a cluster's jobs: without a controller they would wait for ever to
/// hear of the end.
enum TunnelProcesses {
  /// Milliseconds that they have for closing their ports.
  private static let patience = 3000

  static func end(_ layout: Layout) {
    for keeper in find(layout) { Process.terminate(keeper) }
    _ = waitUntil(milliseconds: patience) { find(layout).isEmpty }
  }

  private static func find(_ layout: Layout) -> [pid_t] {
    let conf = "SLURM_CONF=" + layout.slurmConfiguration
    return ProcessTable.own().filter { process in
      process.arguments[0].hasSuffix("/spunnel-keeper") && process.environment.contains(conf)
    }.map(\.id)
  }
}
