// One tunnel's directory, as its keeper holds it and as others find it.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// The names in a record's directory.
public enum RecordFile {
  /// Which nodes, which forwards.
  static let host = "host"
  /// The control socket of a link's ssh (ssh_config(5), `ControlPath`).
  public static func control(of link: Int) -> String { link == 0 ? "control" : "control.\(link)" }
  /// Where the keeper takes commands from `spunnelctl`.
  static let command = "command"
  /// There once the end is meant: the keeper tears down and does not heal.
  static let exit = "exit"
  static let status = "status"
  static let log = "log"
  /// Where ssh takes connections for a service.
  static func socket(_ number: Int) -> String { "\(number).sock" }
  /// The log before this one: a log of full length is moved here.
  static let oldLog = "log.old"
}

/// A record held by this process: alive as long as its directory is locked.
public final class Record {
  public let step: StepName
  public let directory: Directory
  private let state: StateDirectory
  private var sockets = 0
  /// Lines for the log that could not be opened, the oldest first.
  private var unwritten: [String] = []

  /// Longest path that ssh can bind: it appends a dot and 16 characters, and sun_path has 108
  /// bytes with the final zero (mux.c, `muxserver_listen`; unix(7)).
  static let longestControlPath = 90
  /// Behind the first link's path: `.99999`.
  private static let longestSuffix = 6
  private static let longestLog = 256 * 1024
  private static let mostUnwritten = 40

  private init(
    _ step: StepName, _ directory: consuming Directory, _ state: consuming StateDirectory
  ) {
    self.step = step
    self.directory = directory
    self.state = state
  }

  /// Makes and locks the record of a step.
  ///
  /// - Parameters:
  ///   - base: an absolute path, of `state_dir=`
  ///   - user: the tunnel's owner
  public static func create(
    _ step: StepName, in base: String, user: uid_t
  ) throws(RecordError) -> Record {
    for _ in 0..<16 {
      let state = try StateDirectory.create(in: base, user: user)
      guard let directory = try state.add(step) else { continue }
      let record = Record(step, directory, state)
      let path = record.controlPath(of: 0)
      if path.utf8.count > longestControlPath - longestSuffix {
        record.remove()
        throw .tooLong(path: path, limit: longestControlPath - longestSuffix)
      }
      return record
    }
    throw .system(SystemError("mkdir \(base)/spunnel-\(user)/\(step)", ENOENT))
  }

  public func controlPath(of link: Int) -> String {
    directory.path + "/" + RecordFile.control(of: link)
  }

  /// The folder that it lies in, with all the user's other records.
  public var folder: String { state.path }

  public var commandPath: String { directory.path + "/" + RecordFile.command }

  /// A name that no socket of this record has had.
  public func newSocketName() -> String {
    sockets += 1
    return RecordFile.socket(sockets)
  }

  public func removeSocket(_ name: String) { directory.remove(name) }

  /// Watches for what appears in the record, and for its own end, which only the directory around
  /// it tells as long as it is open here.
  public func watch(_ changes: borrowing DirectoryWatch) throws(SystemError) {
    try changes.add(directory)
    try state.watch(changes)
  }

  /// Whether somebody has removed the directory.
  public var isGone: Bool {
    do throws(SystemError) { return try directory.attributes().st_nlink == 0 } catch { return true }
  }

  /// Whether a file that others read was removed.
  public var isIncomplete: Bool {
    [RecordFile.host, RecordFile.status, RecordFile.command].contains { !directory.contains($0) }
  }

  public var hasCommand: Bool { directory.contains(RecordFile.command) }

  public var exitIsMeant: Bool { directory.contains(RecordFile.exit) }

  public func removeCommand() { directory.remove(RecordFile.command) }

  public func controlExists(of link: Int) -> Bool {
    directory.contains(RecordFile.control(of: link))
  }

  /// A socket left by an ssh that was killed would make the next one go on without any.
  public func removeControl(of link: Int) { directory.remove(RecordFile.control(of: link)) }

  public func write(_ host: HostFile) throws(RecordError) {
    try recording { () throws(SystemError) in
      try directory.replace(RecordFile.host, with: Array(host.text.utf8))
    }
  }

  /// Removes the unix sockets outside the record on which nobody listens any more.
  public func removeSocketsElsewhere() { Record.removeSocketsElsewhere(of: step, directory) }

  /// The same for a record that nobody holds.
  static func removeSocketsElsewhere(of step: StepName, _ directory: borrowing Directory) {
    let text: String
    do throws(SystemError) {
      text = String(decoding: try directory.read(RecordFile.host, atMost: 1 << 20), as: UTF8.self)
    } catch { return }
    guard let host = HostFile(text) else { return }
    let held = host.waiting.flatMap { (try? $0.paths(known: step)) ?? [] }
    let bound = host.forwards.filter { $0.kind != .remote }.compactMap(\.listen.path)
    for path in held + bound where SocketFile.isLeftOver(path) { _ = unsafe unlink(path) }
    let ports = host.forwards.filter { $0.kind != .remote }.compactMap(\.listen.port)
    for port in ports + host.waiting.flatMap(\.ports) { OwnSocket.removeLeftOver(port) }
  }

  /// Writes the status, and what the log lacks.
  ///
  /// - Returns: whether it is written: a full disk must not end a tunnel
  @discardableResult
  public func write(_ status: Status) -> Bool {
    defer { if !unwritten.isEmpty { writeLog() } }
    do throws(SystemError) {
      try directory.replace(RecordFile.status, with: Array(status.text.utf8))
      return true
    } catch { return false }
  }

  /// Appends a line with the time; failure goes by. While the log cannot be opened the line waits:
  /// that descriptors are used up could never be read there otherwise.
  public func log(_ line: String) {
    let text = printable(line, atMost: LogLine.longest)
    unwritten.append("\(timestamp(Clock.wallMilliseconds())) \(text)\n")
    if unwritten.count > Record.mostUnwritten { unwritten.removeFirst() }
    writeLog()
  }

  private func writeLog() {
    do throws(SystemError) {
      let file = try FileDescriptor.open(
        RecordFile.log, in: directory.descriptor.raw, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW)
      let text = unwritten.joined()
      unwritten = []
      try file.writeAll(Array(text.utf8))
      if try file.size() > Record.longestLog {
        try directory.rename(RecordFile.log, to: RecordFile.oldLog)
      }
    } catch {}
  }

  /// Removes the record with all that is in it.
  public func remove() {
    do throws(RecordError) { try state.remove(step, directory) } catch {}
    state.removeIfEmpty()
  }
}
