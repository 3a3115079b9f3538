// The directory of one tunnel, as its keeper holds it.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// The file names in a record's directory.
public enum RecordFile {
  /// The nodes and the forwards.
  static let host = "host"
  /// The control socket of a link's ssh (ssh_config(5), `ControlPath`).
  public static func control(of link: Int) -> String { link == 0 ? "control" : "control.\(link)" }
  /// The unix socket on which the keeper takes commands from `spunnelctl`.
  static let command = "command"
  /// The exit flag. If it exists, the end is meant: the keeper closes the tunnel and does not
  /// reconnect.
  static let exit = "exit"
  static let status = "status"
  static let log = "log"
  /// The unix socket on which ssh takes connections for a service.
  static func socket(_ number: Int) -> String { "\(number).sock" }
  /// The previous log: a log of full length is renamed to this.
  static let oldLog = "log.old"
}

/// A record that this process holds. It counts as alive while its directory is locked.
public final class Record {
  public let step: StepName
  public let directory: Directory
  private let state: StateDirectory
  private var sockets = 0
  /// Log lines that are not written yet because the log could not be opened, oldest first.
  private var unwritten: [String] = []

  /// The longest control path that ssh can bind, in bytes. ssh appends a dot and 16 characters, and
  /// `sun_path` has 108 bytes with the final zero (mux.c, `muxserver_listen`; unix(7)).
  static let longestControlPath = 90
  /// Bytes that a later link appends to the first link's path: `.99999`.
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
  ///   - step: the step, or a job as a whole
  ///   - base: the absolute path of `state_dir=`
  ///   - user: the tunnel's owner
  /// - Throws: `taken` when the step has a tunnel, `tooLong` when a socket's path would be too
  ///   long, and any reason why `base` cannot be used
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

  /// The path of the control socket of a link's ssh.
  ///
  /// - Parameter link: 0 for the link to the step's first node
  public func controlPath(of link: Int) -> String {
    directory.path + "/" + RecordFile.control(of: link)
  }

  /// The state directory that holds this record and the user's others.
  public var folder: String { state.path }

  /// The path of the unix socket on which the keeper takes commands.
  public var commandPath: String { directory.path + "/" + RecordFile.command }

  /// A socket name that this record has never used.
  public func newSocketName() -> String {
    sockets += 1
    return RecordFile.socket(sockets)
  }

  public func removeSocket(_ name: String) { directory.remove(name) }

  /// Watches the files of the record, and the record's own removal.
  ///
  /// While this process has the directory open, inotify(7) reports its removal only through the
  /// directory around it.
  public func watch(_ changes: borrowing DirectoryWatch) throws(SystemError) {
    try changes.add(directory)
    try state.watch(changes)
  }

  /// Whether the directory was removed.
  public var isGone: Bool {
    do throws(SystemError) { return try directory.attributes().st_nlink == 0 } catch { return true }
  }

  /// Whether a file that other processes read was removed.
  public var isIncomplete: Bool {
    [RecordFile.host, RecordFile.status, RecordFile.command].contains { !directory.contains($0) }
  }

  /// Whether the keeper's command socket exists.
  public var hasCommand: Bool { directory.contains(RecordFile.command) }

  /// Whether the exit flag is set.
  public var exitIsMeant: Bool { directory.contains(RecordFile.exit) }

  public func removeCommand() { directory.remove(RecordFile.command) }

  public func controlExists(of link: Int) -> Bool {
    directory.contains(RecordFile.control(of: link))
  }

  /// Removes a control socket. If a killed ssh left it behind, the next ssh would run without one.
  public func removeControl(of link: Int) { directory.remove(RecordFile.control(of: link)) }

  /// Replaces the host file.
  public func write(_ host: HostFile) throws(RecordError) {
    try recording { () throws(SystemError) in
      try directory.replace(RecordFile.host, with: Array(host.text.utf8))
    }
  }

  /// Removes unix sockets outside the record on which no process listens.
  public func removeSocketsElsewhere() { Record.removeSocketsElsewhere(of: step, directory) }

  /// Does the same for a record that no keeper holds.
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

  /// What the two files say, of a record whose keeper was killed; `nil` where they are gone or damaged.
  var content: (host: HostFile, status: Status)? {
    func text(_ name: String) -> String? {
      (try? directory.read(name, atMost: 1 << 20)).map { String(decoding: $0, as: UTF8.self) }
    }
    guard !isGone, let status = text(RecordFile.status).flatMap({ Status($0) }),
      let host = text(RecordFile.host).flatMap({ HostFile($0) })
    else { return nil }
    return (host, status)
  }

  /// Writes the status, and the log lines that are still unwritten.
  ///
  /// - Returns: whether the status was written; the tunnel goes on without it, for example on a
  ///   full disk
  @discardableResult
  public func write(_ status: Status) -> Bool {
    defer { if !unwritten.isEmpty { writeLog() } }
    do throws(SystemError) {
      try directory.replace(RecordFile.status, with: Array(status.text.utf8))
      return true
    } catch { return false }
  }

  /// Appends a line with the time to the log.
  ///
  /// If the log cannot be opened, the line waits for the next write. Otherwise the log could never
  /// say that this process ran out of descriptors.
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

  /// Removes the record with all its files.
  public func remove() {
    do throws(RecordError) { try state.remove(step, directory) } catch {}
    state.removeIfEmpty()
  }
}
