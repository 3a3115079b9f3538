// When a job would start by `sbatch --test-only`, and which changes may bring the start forward.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// The answer of `sbatch --test-only`.
package enum StartTest: Equatable, Sendable {
  /// The earliest start, in seconds since 1970. Slurm only considers the jobs that run.
  case starts(Int, text: String)
  /// The job can never run. The text is Slurm's.
  case never(String)

  /// - Parameters:
  ///   - status: the exit status of sbatch
  ///   - output: what sbatch printed
  package init(status: Int, output: String) {
    let lines = output.split(separator: "\n").map(String.init)
    for line in lines {
      let words = line.split(separator: " ").map(String.init)
      if let at = words.firstIndex(of: "start"), at + 2 < words.count, words[at + 1] == "at",
        let time = StartTest.seconds(words[at + 2])
      {
        self = .starts(time, text: words[at + 2])
        return
      }
    }
    let line = lines.last ?? "sbatch ended with status \(status)"
    let names = ["sbatch: error: ", "allocation failure: ", "sbatch: "]
    self = .never(
      names.reduce(line) { $0.hasPrefix($1) ? String($0.dropFirst($1.count)) : $0 })
  }

  /// Reads a time such as `2026-11-30T14:05:00` in the local time zone.
  package static func seconds(_ text: String) -> Int? {
    let numbers = text.split { $0 == "-" || $0 == "T" || $0 == ":" }.map { CInt($0) }
    guard numbers.count == 6, !numbers.contains(nil) else { return nil }
    let parts = numbers.compactMap { $0 }
    var time = unsafe tm()
    unsafe time.tm_year = parts[0] - 1900
    unsafe time.tm_mon = parts[1] - 1
    unsafe time.tm_mday = parts[2]
    unsafe time.tm_hour = parts[3]
    unsafe time.tm_min = parts[4]
    unsafe time.tm_sec = parts[5]
    unsafe time.tm_isdst = -1
    let seconds = unsafe mktime(&time)
    return seconds >= 0 ? Int(seconds) : nil
  }
}

/// What a job asks for, as options of sbatch. Some of them can be changed.
package struct JobWishes: Equatable, Sendable {
  package var partition: String?
  package var nodes: Int?
  package var tasks: Int?
  package var cpusPerTask: Int?
  package var memoryPerNode: Int?
  package var memoryPerCPU: Int?
  /// The time limit in minutes; `nil` for none.
  package var minutes: Int?
  package var features = ""
  package var gres = ""
  package var excluded = ""
  package var required = ""
  package var qos = ""
  package var account = ""

  /// What a job asked for when it was submitted.
  ///
  /// - Parameter job: the job as Slurm describes it
  package init(_ job: JobInfo) {
    partition = job.partition.isEmpty ? nil : job.partition
    nodes = job.nodeCount
    tasks = job.tasksWanted
    cpusPerTask = job.cpusPerTask
    memoryPerNode = job.memoryPerNode
    memoryPerCPU = job.memoryPerCPU
    minutes = job.limit?.value
    features = job.features
    gres = job.gres.split(separator: ",").map { item in
      item.hasPrefix("gres:") ? String(item.dropFirst("gres:".count)) : String(item)
    }.joined(separator: ",")
    excluded = job.excludedNodes
    required = job.requiredNodes
    qos = job.qos
    account = job.account
  }

  /// The options for sbatch.
  package var words: [String] {
    var words: [String] = []
    func add(_ name: String, _ value: String?) {
      if let value, !value.isEmpty { words.append("--\(name)=\(value)") }
    }
    add("partition", partition)
    add("nodes", nodes.flatMap { $0 > 0 ? String($0) : nil })
    add("ntasks", tasks.flatMap { $0 > 0 ? String($0) : nil })
    add("cpus-per-task", cpusPerTask.flatMap { $0 > 1 ? String($0) : nil })
    add("mem", memoryPerNode.flatMap { $0 > 0 ? "\($0)M" : nil })
    add("mem-per-cpu", memoryPerCPU.flatMap { $0 > 0 ? "\($0)M" : nil })
    add("time", minutes.map { String($0) })
    add("constraint", features)
    add("gres", gres)
    add("exclude", excluded)
    add("nodelist", required)
    add("qos", qos)
    add("account", account)
    return words
  }

  /// Minutes as `2:00:00`.
  private static func time(_ minutes: Int) -> String {
    "\(minutes / 60):\(minutes % 60 < 10 ? "0" : "")\(minutes % 60):00"
  }

  /// Whether the bounds of its partition allow it; sbatch --test-only does not look at all of them.
  package func fits(_ partitions: [PartitionInfo]) -> Bool {
    guard let own = partitions.first(where: { $0.name == partition }) else { return true }
    if case .of(let most) = own.timeLimit, let minutes, minutes > most { return false }
    if case .of(let most) = own.mostNodes, let nodes, nodes > most { return false }
    return nodes ?? .max >= own.leastNodes ?? 0
  }

  /// A change, and the option that makes it.
  package struct Change: Equatable, Sendable {
    package let option: String
    package let wishes: JobWishes
  }

  /// Changes that may bring the start forward.
  ///
  /// - Parameter partitions: the partitions of the cluster
  package func changes(_ partitions: [PartitionInfo]) -> [Change] {
    var changes: [Change] = []
    func add(_ option: String, _ change: (inout JobWishes) -> Void) {
      var wishes = self
      change(&wishes)
      changes.append(Change(option: option, wishes: wishes))
    }
    if let minutes, minutes > 1 {
      add("--time=\(JobWishes.time(minutes / 2))") { $0.minutes = minutes / 2 }
    } else if minutes == nil {
      add("--time=1:00:00") { $0.minutes = 60 }
    }
    // Longer than its partition allows: as long as it allows.
    if case .of(let most) = partitions.first(where: { $0.name == partition })?.timeLimit,
      minutes ?? .max > most, minutes.map({ $0 / 2 }) != most
    {
      add("--time=\(JobWishes.time(most))") { $0.minutes = most }
    }
    if let nodes, nodes > 1 {
      add("--nodes=\(nodes / 2)") {
        $0.nodes = nodes / 2
        $0.tasks = tasks.map { max(1, $0 / 2) }
      }
    } else if let tasks, tasks > 1 {
      add("--ntasks=\(tasks / 2)") { $0.tasks = tasks / 2 }
    }
    if let cpus = cpusPerTask, cpus > 1 {
      add("--cpus-per-task=\(cpus / 2)") { $0.cpusPerTask = cpus / 2 }
    }
    if let memory = memoryPerNode, memory > 1 {
      add("--mem=\(memory / 2)M") { $0.memoryPerNode = memory / 2 }
    }
    if let memory = memoryPerCPU, memory > 1 {
      add("--mem-per-cpu=\(memory / 2)M") { $0.memoryPerCPU = memory / 2 }
    }
    if !features.isEmpty { add("without --constraint=\(features)") { $0.features = "" } }
    if !required.isEmpty { add("without --nodelist=\(required)") { $0.required = "" } }
    for other in partitions where other.name != partition && other.state == "UP" {
      add("--partition=\(other.name)") { $0.partition = other.name }
    }
    return changes.filter { $0.wishes.fits(partitions) }
  }
}
