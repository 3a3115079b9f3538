// One cluster of the user: its parts, and what can be read of it without changing it.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// A cluster of this user, up or down, identified by its name.
public struct Cluster: Sendable {
  public let name: ClusterName
  public let layout: Layout
  let home: ClusterHome

  public init(_ name: ClusterName, in home: ClusterHome) {
    self.name = name
    self.home = home
    layout = home.layout(name)
  }

  /// Whether the daemons of a cluster run.
  public enum State: String, Sendable {
    case up, down
    /// Some daemons run and others do not.
    case partial
  }

  /// The content of `spunnelctl cluster status`.
  public struct Status: Sendable {
    /// The state of the daemons as a whole.
    public let state: State
    public let shape: Shape
    public let ports: Ports?
    /// The daemons in the order of their start; the id is `nil` for a daemon that does not run.
    public let daemons: [(daemon: Daemon, id: pid_t?)]
    /// The states of the nodes; empty when the controller does not answer.
    public let nodeStates: [String]
    /// The numbers of jobs; `nil` when the controller does not answer.
    public let jobs: JobCounts?
    /// The memory of all daemons, in KiB (proportional set size).
    public let memory: Int
  }

  /// Reads the state of the daemons, the nodes and the jobs.
  ///
  /// - Throws: `noCluster` when the cluster has no folder
  public func status() throws(ClusterError) -> Status {
    guard let folder = try home.open(name) else { throw .noCluster(name) }
    let record = Cluster.record(in: folder)
    let shape = Shape(record.request, on: .current, Fleet.kept(in: folder))
    let running = RunningDaemons(of: layout)
    let daemons = Daemon.all(shape).map { ($0, running.ids[$0]?.first) }
    let state: State =
      running.isEmpty ? .down : daemons.contains { $0.1 == nil } ? .partial : .up
    let slurm =
      running.contains(.controller) && running.contains(.munged)
      ? (try? Programs.find(prefix: record.slurmPrefix)).map { Slurm(layout, $0) } : nil
    return Status(
      state: state, shape: shape, ports: record.ports, daemons: daemons,
      nodeStates: (try? slurm?.nodeStates()) ?? [], jobs: try? slurm?.jobCounts(),
      memory: memory(running))
  }

  /// Describes the hosts of a cluster for its next `up`. Makes the cluster if it does not exist.
  ///
  /// - Parameters:
  ///   - name: the cluster
  ///   - fleet: its nodes, host by host
  ///   - home: where the user's clusters are
  /// - Returns: false when the cluster is up; it is then not changed
  public static func describe(
    _ name: ClusterName, as fleet: Fleet, in home: ClusterHome
  ) throws(ClusterError) -> Bool {
    let folder = try home.create(name)
    _ = try working { () throws(SystemError) in try folder.lock(waiting: true) }
    if !RunningDaemons(of: home.layout(name)).isEmpty { return false }
    try working { () throws(SystemError) in try fleet.keep(in: folder) }
    return true
  }

  private func memory(_ running: RunningDaemons) -> Int {
    let leaders = Set(running.ids.values.joined())
    // The job steps of a node lead sessions of their own, so they are not counted.
    let members = ProcessTable.own().filter {
      leaders.contains($0.id) || leaders.contains($0.session)
    }
    return members.reduce(0) { $0 + $1.memory }
  }

  static func record(in folder: borrowing Directory) -> SavedRecord {
    let content = try? folder.read(SavedRecord.fileName, atMost: 65536)
    return SavedRecord(text: String(decoding: content ?? [], as: UTF8.self))
  }

  /// The environment changes that make Slurm's commands use this cluster.
  ///
  /// - Throws: `notUp` when no controller runs
  public func environment() throws(ClusterError) -> EnvironmentChange {
    guard let folder = try home.open(name) else { throw .noCluster(name) }
    if !RunningDaemons(of: layout).contains(.controller) { throw .notUp(name) }
    let programs = try Programs.find(prefix: Cluster.record(in: folder).slurmPrefix)
    return EnvironmentChange(layout, programs)
  }
}

/// Environment changes that make Slurm's commands use a cluster.
public struct EnvironmentChange: Sendable {
  /// Variables to set.
  public private(set) var set: [(name: String, value: String)]
  /// Folders to put before those of `PATH`.
  public let programs: [String]
  /// Folders to put before those of `LD_LIBRARY_PATH`.
  public let libraries: [String]

  /// The variables that get folders in front, with these folders.
  public var lists: [(name: String, folders: [String])] {
    [("PATH", programs), ("LD_LIBRARY_PATH", libraries)].filter { !$0.1.isEmpty }
  }

  init(_ layout: Layout, _ programs: Programs) {
    self.init(layout, programs: programs.folders, libraries: programs.libraryFolders)
  }

  init(_ layout: Layout, programs: [String], libraries: [String]) {
    set = [("SLURM_CONF", layout.slurmConfiguration)]
    self.programs = programs
    self.libraries = libraries
  }

  /// Applies the changes to an environment.
  ///
  /// - Parameter entries: `NAME=value` entries
  public func applied(to entries: [ByteString]) -> [ByteString] {
    let foreign = !entries.contains("SLURM_CONF=\(set[0].value)")
    let kept = entries.filter { entry in
      if set.contains(where: { entry.hasPrefix($0.name + "=") }) { return false }
      // This command may run in a job of another cluster. That job's number means nothing here.
      return !(foreign && EnvironmentChange.isOfJob(entry))
    }
    var result = kept + set.map { "\($0.name)=\($0.value)" }
    result = EnvironmentChange.prepending(programs, to: "PATH", in: result)
    return EnvironmentChange.prepending(libraries, to: "LD_LIBRARY_PATH", in: result)
  }

  private static func isOfJob(_ entry: ByteString) -> Bool {
    [
      "SLURM_JOB", "SLURM_STEP", "SLURM_TASK", "SLURM_NODE", "SLURM_NNODES", "SLURM_NTASKS",
      "SLURM_CPUS", "SLURM_MEM", "SLURM_CLUSTER", "SLURM_SUBMIT", "SLURM_JWT", "SLURMD_",
    ]
    .contains { entry.hasPrefix($0) }
  }

  private static func prepending(
    _ folders: [String], to name: String, in entries: [ByteString]
  ) -> [ByteString] {
    if folders.isEmpty { return entries }
    var entry: ByteString = "\(name)=\(folders.joined(separator: ":"))"
    let old = entries.first { $0.hasPrefix(name + "=") }?.dropFirst(name.utf8.count + 1)
    // An empty entry after the colon would mean the current directory.
    if let old, !old.bytes.isEmpty { entry = entry + ":" + old }
    return entries.filter { !$0.hasPrefix(name + "=") } + [entry]
  }
}
