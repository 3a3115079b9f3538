// Asks the cluster's Slurm through its commands. Their output stays the same across versions; the
// library's ABI does not.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// A job that holds resources.
public struct RunningJob: Equatable, Sendable, CustomStringConvertible {
  /// The id as squeue prints it: `12`, or `12_3` for a task of an array.
  public let id: String
  public let name: String

  public init(id: String, name: String) {
    self.id = id
    self.name = name
  }

  public var description: String { "\(id) (\(name))" }
}

/// A version such as `24.11`: as much of it as decides the form of the configuration.
public struct SlurmVersion: Comparable, Sendable, CustomStringConvertible {
  private let year: Int
  private let month: Int

  public init(_ year: Int, _ month: Int) {
    self.year = year
    self.month = month
  }

  /// Reads the output of a program's `-V`: `slurm 24.11.7`, or Debian's `slurm-wlm 22.05.8`.
  public init?(_ text: String) {
    guard let word = text.split(whereSeparator: \.isWhitespace).last else { return nil }
    let parts = word.split(separator: ".")
    guard parts.count >= 2, let year = Int(parts[0]), let month = Int(parts[1]) else { return nil }
    self.init(year, month)
  }

  public var description: String { "\(year).\(month < 10 ? "0" : "")\(month)" }

  public static func < (left: SlurmVersion, right: SlurmVersion) -> Bool {
    (left.year, left.month) < (right.year, right.month)
  }
}

/// The numbers of running and waiting jobs.
public struct JobCounts: Equatable, Sendable {
  public let running: Int
  public let waiting: Int
}

/// Runs the commands of one cluster's Slurm.
struct Slurm {
  let programs: Programs
  let environment: [ByteString]

  init(_ layout: Layout, _ programs: Programs) {
    self.programs = programs
    environment = Slurm.environment(layout, programs) + ["SLURM_TIME_FORMAT=%s"]
  }

  /// The environment of the cluster's daemons and commands, with nothing else of the user's.
  static func environment(_ layout: Layout, _ programs: Programs) -> [ByteString] {
    let folders =
      programs.folders + ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
    var entries: [ByteString] = [
      "PATH=\(folders.joined(separator: ":"))", "SLURM_CONF=\(layout.slurmConfiguration)",
    ]
    entries += Process.environment().filter { entry in
      ["HOME=", "USER=", "LOGNAME=", "SHELL=", "TZ="].contains { entry.hasPrefix($0) }
    }
    if programs.prefix != nil {
      entries.append("LD_LIBRARY_PATH=\(programs.libraryFolders.joined(separator: ":"))")
    }
    return entries
  }

  private func run(_ path: String, _ arguments: [String]) throws(ClusterError) -> String {
    let program = Program(path, arguments, environment: environment)
    let result = try working { () throws(SystemError) in try program.capture(milliseconds: 20_000) }
    if !result.succeeded {
      let name = path.split(separator: "/").last.map(String.init) ?? path
      throw .slurm(name, lastWords: result.lastLine)
    }
    return result.output
  }

  /// - Returns: `nil` when slurmd prints its version in another form
  func version() throws(ClusterError) -> SlurmVersion? {
    SlurmVersion(try run(programs.slurmd, ["-V"]))
  }

  /// The states of the nodes, one word each.
  func nodeStates() throws(ClusterError) -> [String] { try nodes().map(\.state) }

  func nodes() throws(ClusterError) -> [(name: String, state: String)] {
    try run(programs.sinfo, ["--noheader", "--Node", "--format=%N %T"])
      .split(separator: "\n").compactMap { line in
        let words = line.split(separator: " ").map(String.init)
        return words.count == 2 ? (words[0], words[1]) : nil
      }
  }

  /// Whether Slurm was built with `--enable-multiple-slurmd`, for several nodes on one host.
  func hasManyNodes() throws(ClusterError) -> Bool {
    try run(programs.scontrol, ["show", "config"]).split(separator: "\n")
      .contains { $0.hasPrefix("MULTIPLE_SLURMD") }
  }

  /// The jobs that hold resources, including those that are completing.
  func runningJobs() throws(ClusterError) -> [RunningJob] {
    let states = "--states=RUNNING,CONFIGURING,COMPLETING,SUSPENDED,STOPPED,SIGNALING,STAGE_OUT"
    let output = try run(programs.squeue, ["--noheader", states, "--format=%i %j"])
    return output.split(separator: "\n").map { line in
      let parts = line.split(separator: " ", maxSplits: 1)
      return RunningJob(id: String(parts[0]), name: parts.count == 2 ? String(parts[1]) : "")
    }
  }

  /// The jobs that count as running since before a time.
  ///
  /// - Parameter time: seconds since 1970
  func jobsRunning(before time: Int) throws(ClusterError) -> [RunningJob] {
    let options = ["--noheader", "--states=RUNNING,SUSPENDED", "--format=%S %i %j"]
    return try run(programs.squeue, options).split(separator: "\n").compactMap { line in
      let parts = line.split(separator: " ", maxSplits: 2)
      guard parts.count >= 2, let start = Int(parts[0]), start < time else { return nil }
      return RunningJob(id: String(parts[1]), name: parts.count == 3 ? String(parts[2]) : "")
    }
  }

  func jobCounts() throws(ClusterError) -> JobCounts {
    let output = try run(programs.squeue, ["--noheader", "--array", "--format=%T"])
    let states = output.split(separator: "\n")
    let waiting = states.count { $0 == "PENDING" || $0.hasPrefix("REQUEUE") }
    return JobCounts(running: states.count - waiting, waiting: waiting)
  }

  func cancel(_ jobs: [RunningJob], kill: Bool) throws(ClusterError) {
    let options = kill ? ["--full", "--signal=KILL"] : []
    _ = try run(programs.scancel, ["--quiet"] + options + jobs.map(\.id))
  }

  /// Requeues jobs. Jobs that have no script, or may not run twice, are cancelled.
  func requeue(_ jobs: [RunningJob]) throws(ClusterError) {
    for job in jobs {
      do throws(ClusterError) { _ = try run(programs.scontrol, ["requeue", job.id]) } catch {
        try cancel([job], kill: false)
      }
    }
  }

  /// Opens or closes the partition: whether waiting jobs may start.
  func startsJobs(_ starts: Bool) throws(ClusterError) {
    let state = "State=" + (starts ? "UP" : "DOWN")
    let partition = "PartitionName=" + SlurmConfiguration.partition
    _ = try run(programs.scontrol, ["update", partition, state])
  }
}
