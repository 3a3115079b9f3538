// Takes a cluster down: no job is lost by accident, and no process is left.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// What to do with running jobs when a cluster is taken down.
public enum RunningJobs: Sendable {
  /// Name the jobs and leave the cluster up.
  case refuse
  /// Wait for the jobs, and start no others.
  case wait
  /// Cancel the jobs.
  case cancel
}

/// The result of `down`.
public enum DownResult: Equatable, Sendable {
  case wasDown
  /// The daemons were stopped. `waiting` jobs wait for the next `up`; `nil` when no controller ran.
  case stopped(waiting: Int?)
}

extension Cluster {
  /// Milliseconds that cancelled jobs have to end: Slurm's `KillWait`, and the time of slurmstepd
  /// after it.
  private static let cancelPatience = 20_000

  /// Stops all daemons. Waiting jobs stay in the queue for the next `up`.
  ///
  /// - Parameter jobs: what to do with running jobs
  /// - Throws: `busy` when jobs run and `jobs` is `refuse`; `noCluster` when there is none
  public func down(_ jobs: RunningJobs) throws(ClusterError) -> DownResult {
    let folder = try home.open(name)
    let isThere = folder != nil
    if case .wait = jobs, folder != nil { try waitForJobs() }
    // Daemons may still run whose folder was removed.
    if let folder { _ = try working { () throws(SystemError) in try folder.lock(waiting: true) } }
    let running = RunningDaemons(of: layout)
    let orphans = JobProcesses.find(layout)
    if running.isEmpty && (orphans.isEmpty || jobs == .refuse) {
      if orphans.isEmpty {
        if !isThere { throw .noCluster(name) }
        // This host may have been rebooted while the other hosts still run daemons.
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

  /// Makes sure that no job runs and that none starts.
  ///
  /// - Returns: the number of waiting jobs; `nil` when no controller runs
  private func settle(
    _ jobs: RunningJobs, _ running: RunningDaemons, _ orphans: [pid_t]
  ) throws(ClusterError) -> Int? {
    guard running.contains(.controller), running.contains(.munged), let slurm = try slurm() else {
      if jobs != .cancel && !orphans.isEmpty { throw .headless(name, steps: orphans.count) }
      return nil
    }
    // The partition is closed first, so that no job starts after the check.
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
    // scancel also fails for a job that has just ended, so its result is ignored.
    try? slurm.cancel(found, kill: false)
    var left = found
    func isEmpty() -> Bool {
      left = (try? slurm.runningJobs()) ?? left
      return left.isEmpty
    }
    if waitUntil(milliseconds: Cluster.cancelPatience, isEmpty) { return }
    try? slurm.cancel(left, kill: true)
    // Jobs that no signal reaches are ended by their processes, after the daemons.
    _ = waitUntil(milliseconds: Cluster.cancelPatience, isEmpty)
  }

  /// Waits for running jobs without the lock, so that `status` and `down --now` still work.
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
      // Another `down` took the cluster down.
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
  /// The step managers (slurmstepd) and the processes that they started. `SLURM_CONF` alone is no
  /// proof: the user's own shell may have it too.
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

  /// Whether a part of a job still runs: its processes, or the srun or salloc that holds it.
  static func surviving(_ layout: Layout) -> Bool {
    if !find(layout).isEmpty { return true }
    let conf = "SLURM_CONF=" + layout.slurmConfiguration
    return ProcessTable.own().contains { process in
      let name = process.arguments[0].split(separator: "/").last
      return (name == "srun" || name == "salloc") && process.environment.contains(conf)
    }
  }

  /// Ends processes: TERM, a bounded wait, KILL.
  static func end(_ ids: [pid_t]) {
    Process.endAll(patience: 2_000) { ids.filter(ProcessTable.isRunning) }
  }
}

/// The keepers of tunnels into a cluster's jobs. Without a controller they would wait for ever for
/// the job's end.
enum TunnelProcesses {
  /// Milliseconds that keepers have to close their ports.
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
