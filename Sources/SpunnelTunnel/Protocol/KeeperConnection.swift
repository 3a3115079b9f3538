// The spunnelctl side of a keeper's command socket.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// One request to the keeper of a tunnel, and its reports.
public struct KeeperConnection: ~Copyable {
  private let socket: FileDescriptor
  private var heard: LineBuffer
  /// The longest report, in bytes.
  public static let longestReport = 1 << 20

  /// Connects to the keeper of a step and sends a request.
  ///
  /// - Parameters:
  ///   - command: the request
  ///   - step: the step of a tunnel on this host
  ///   - base: the absolute path of `state_dir=`
  ///   - user: the tunnel's owner
  ///   - longest: the longest report to accept, in bytes
  /// - Returns: the open connection; `nil` when there is no such tunnel, or it is ending
  /// - Throws: a record that cannot be trusted, or a failed system call
  public static func ask(
    _ command: KeeperCommand, of step: StepName, in base: String, user: uid_t,
    atMost longest: Int = longestReport
  ) throws(RecordError) -> KeeperConnection? {
    guard let state = try StateDirectory.find(holding: step, in: base, user: user),
      let record = try state.open(step), record.isLocked()
    else { return nil }
    do throws(SystemError) {
      // root connects with the owner's uid. A keeper accepts only its owner: a stranger may control
      // a process that runs as root.
      let handle = try SocketHandle(RecordFile.command, in: record)
      let socket = try Process.acting(as: user) { () throws(SystemError) in try handle.connect() }
      // The peer uid must be the owner's. Another user may have put a socket there, and must not
      // see the request.
      if try Socket.peerUser(of: socket.raw) != user { return nil }
      try Socket.send(Array(command.line.utf8), over: socket.raw)
      return KeeperConnection(socket, LineBuffer(longest: longest))
    } catch {
      switch error.code {
      case ENOENT, ECONNREFUSED, EPIPE, ECONNRESET: return nil
      default: throw .system(error)
      }
    }
  }

  private init(_ socket: consuming FileDescriptor, _ heard: LineBuffer) {
    self.socket = socket
    self.heard = heard
  }

  /// Waits for the next report.
  ///
  /// - Parameters:
  ///   - milliseconds: the longest wait; `nil` waits for ever
  ///   - pause: milliseconds of silence after which `meanwhile` is called, again and again
  /// - Returns: `nil` after the wait, when the keeper is gone, and for a line that is not a report
  public mutating func next(
    milliseconds: Int? = nil, pause: Int = 3_600_000, meanwhile: () -> Void = {}
  ) -> KeeperReport? {
    let deadline = milliseconds.map { Clock.milliseconds() + $0 }
    while true {
      if let line = heard.next() { return KeeperReport(line: line) }
      let left = deadline.map { $0 - Clock.milliseconds() } ?? .max
      if left <= 0 || heard.isOverlong { return nil }
      guard socket.waitReadable(milliseconds: min(left, pause)) else {
        meanwhile()
        continue
      }
      guard let more = try? socket.read(atMost: 65536), !more.isEmpty else { return nil }
      heard.append(more)
    }
  }
}
