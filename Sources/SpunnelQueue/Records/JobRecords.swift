// The queue's records of jobs, which Slurm forgets: how they were submitted, what spunnel-run saw
// on the node, and how they ended. Losing them does no harm.
//
//     JOB.submit    the words for sbatch, the script, the folder; written by submit
//     JOB.run       begin, status, processor time, peak memory; written on the node by spunnel-run
//     JOB.end       Slurm's record of a job that is over; written by any command that sees it
//
// JOB is a job id, or a task of an array: 12_3.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// The folder of a user's records for one cluster.
package struct JobRecords: Sendable {
  /// The most files. Above it, the files of the lowest job ids are removed.
  private static let mostFiles = 20_000
  private static let longestFile = 64 << 20

  package let path: String

  /// - Parameter environment: returns a variable of the user: `XDG_STATE_HOME`, `HOME`, and
  ///   `SLURM_CONF`, which tells clusters apart
  /// - Returns: `nil` when the user has no home
  package init?(environment: (String) -> String?) {
    let base: String
    if let state = environment("XDG_STATE_HOME"), state.hasPrefix("/") {
      base = state
    } else if let home = environment("HOME"), home.hasPrefix("/") {
      base = home + "/.local/state"
    } else {
      return nil
    }
    path = base + "/spunnel/queue/" + JobRecords.clusterFolder(environment("SLURM_CONF"))
  }

  package init(path: String) { self.path = path }

  /// The folder's name: `site`, or the path of another slurm.conf in safe characters.
  private static func clusterFolder(_ configuration: String?) -> String {
    guard let configuration, !configuration.isEmpty else { return "site" }
    return String(
      String.UnicodeScalarView(
        configuration.unicodeScalars.suffix(200).map { scalar in
          scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
            ? scalar : "-"
        }))
  }

  /// Makes the folder, with access for the user alone.
  package func create() throws(SystemError) { try Directory.createPath(path) }

  /// Replaces a file.
  package func write(_ name: String, _ text: RecordText) throws(SystemError) {
    try Directory.createPath(path)
    let folder = try Directory.open(following: path)
    try folder.replace(name, with: text.bytes)
  }

  /// Reads a file.
  ///
  /// - Returns: `nil` when the file is missing or torn
  package func read(_ name: String) -> RecordText? {
    do throws(SystemError) {
      let folder = try Directory.open(following: path)
      return RecordText(try folder.read(name, atMost: JobRecords.longestFile))
    } catch { return nil }
  }

  /// The names of all files, in no order; empty when the folder does not exist.
  package func names() -> [String] {
    do throws(SystemError) {
      let folder = try Directory.open(following: path)
      return try folder.names()
    } catch { return [] }
  }

  /// The notes of ends that were written since a time, in seconds since 1970.
  package func recent(since time: Int) -> [String] {
    do throws(SystemError) {
      let folder = try Directory.open(following: path)
      return try folder.names().filter { name in
        guard name.hasSuffix(".end") || name.hasSuffix(".run") else { return false }
        var found = stat()
        return unsafe fstatat(folder.descriptor.raw, name, &found, AT_SYMLINK_NOFOLLOW) == 0
          && found.st_mtim.tv_sec >= time
      }
    } catch { return [] }
  }

  /// Removes the oldest files if there are too many.
  package func sweep() {
    let names = names()
    if names.count <= JobRecords.mostFiles { return }
    let numbered = names.map { name in (Int(name.prefix { ("0"..."9").contains($0) }) ?? 0, name) }
    let surplus = numbered.sorted { $0.0 < $1.0 }.prefix(names.count - JobRecords.mostFiles / 2)
    do throws(SystemError) {
      let folder = try Directory.open(following: path)
      for (_, name) in surplus { folder.remove(name) }
    } catch {}
  }
}

/// How a job was submitted.
package struct SubmittedJob: Equatable, Sendable {
  package var job: UInt32
  package var words: [ByteString]
  package var scriptWords: [ByteString]
  package var script: [UInt8]?
  package var folder: String
  /// The log of a pool, which has its progress beside it; `nil` for other jobs.
  package var poolLog: String?

  package init(
    job: UInt32, words: [ByteString], scriptWords: [ByteString], script: [UInt8]?, folder: String,
    poolLog: String? = nil
  ) {
    (self.job, self.words, self.scriptWords, self.script) = (job, words, scriptWords, script)
    (self.folder, self.poolLog) = (folder, poolLog)
  }

  /// Reads a record; `nil` when it names no job.
  package init?(_ text: RecordText) {
    guard let job = text.number("job").flatMap({ UInt32(exactly: $0) }) else { return nil }
    self.init(
      job: job, words: text.values("word").map { ByteString(bytes: $0) },
      scriptWords: text.values("script_word").map { ByteString(bytes: $0) },
      script: text.values("script").first, folder: text.text("folder") ?? "/",
      poolLog: text.text("pool_log"))
  }

  /// The record as text.
  package var text: RecordText {
    var text = RecordText()
    text.add("job", Int(job))
    text.add("folder", folder)
    for word in words { text.add("word", word.bytes) }
    for word in scriptWords { text.add("script_word", word.bytes) }
    if let script { text.add("script", script) }
    if let poolLog { text.add("pool_log", poolLog) }
    return text
  }
}

/// What spunnel-run saw of a job on its node.
package struct RunNote: Equatable, Sendable {
  package let host: String
  package let restart: Int
  /// The begin of the job, in seconds since 1970.
  package let begun: Int
  /// The end of the job, in seconds since 1970; `nil` while it runs.
  package let ended: Int?
  /// The status as wait(2) returns it; `nil` while the job runs, and if spunnel-run was killed.
  package let status: Int?
  package let userMilliseconds: Int
  package let systemMilliseconds: Int
  /// The peak memory of the largest process.
  package let peakKiB: Int

  /// Reads a note; `nil` when it has no begin.
  package init?(_ text: RecordText) {
    guard let begun = text.number("begun") else { return nil }
    self.begun = begun
    host = text.text("host") ?? ""
    restart = text.number("restart") ?? 0
    ended = text.number("ended")
    status = text.number("status")
    userMilliseconds = text.number("user_ms") ?? 0
    systemMilliseconds = text.number("system_ms") ?? 0
    peakKiB = text.number("peak_kib") ?? 0
  }
}

extension JobInfo {
  /// The record of a job that is over.
  package var endText: RecordText {
    var text = RecordText()
    text.add("id", Int(id))
    text.add("array", array.map(Int.init))
    text.add("task", task.map(Int.init))
    text.add("user", Int(user))
    for (key, value) in [
      ("state", state), ("reason", reason), ("name", name), ("partition", partition),
      ("nodes", nodes), ("folder", folder), ("output", output), ("errors", errors),
      ("command", command), ("features", features), ("comment", comment), ("tres", tres),
    ] { text.add(key, value) }
    for (key, value) in [
      ("cpus", cpus), ("node_count", nodeCount), ("memory_per_node", memoryPerNode),
      ("memory_per_cpu", memoryPerCPU), ("submitted", submitted), ("started", started),
      ("ended", ended), ("limit", limit?.value), ("exit", exit), ("derived_exit", derivedExit),
    ] { text.add(key, value) }
    return text
  }

  /// - Returns: `nil` when the text is not such a record
  package init?(end text: RecordText) {
    guard let id = text.number("id").flatMap({ UInt32(exactly: $0) }),
      let user = text.number("user").flatMap({ uid_t(exactly: $0) })
    else { return nil }
    self.init(id: id, user: user, phase: .over)
    array = text.number("array").flatMap { UInt32(exactly: $0) }
    task = text.number("task").flatMap { UInt32(exactly: $0) }
    state = text.text("state") ?? ""
    reason = text.text("reason") ?? ""
    name = text.text("name") ?? ""
    partition = text.text("partition") ?? ""
    nodes = text.text("nodes") ?? ""
    folder = text.text("folder") ?? ""
    output = text.text("output") ?? ""
    errors = text.text("errors") ?? ""
    command = text.text("command") ?? ""
    features = text.text("features") ?? ""
    comment = text.text("comment") ?? ""
    tres = text.text("tres") ?? ""
    cpus = text.number("cpus")
    nodeCount = text.number("node_count")
    memoryPerNode = text.number("memory_per_node")
    memoryPerCPU = text.number("memory_per_cpu")
    submitted = text.number("submitted")
    started = text.number("started")
    ended = text.number("ended")
    limit = text.number("limit").map { .of($0) }
    exit = text.number("exit")
    derivedExit = text.number("derived_exit")
  }
}
