// spunnelctl's end of the command socket.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// One request to the keeper of a tunnel, and its answers.
public struct KeeperConnection: ~Copyable {
  private let socket: FileDescriptor
  private var heard: LineBuffer
  public static let longestReport = 1 << 20

  /// Connects to the keeper of a step and asks.
  ///
  /// - Parameters:
  ///   - step: of a tunnel on this host
  ///   - base: an absolute path, of `state_dir=`
  ///   - user: the tunnel's owner
  ///   - longest: bytes that an answer may have
  /// - Returns: `nil` when there is no such tunnel, or it is ending
  public static func ask(
    _ command: KeeperCommand, of step: StepName, in base: String, user: uid_t,
    atMost longest: Int = longestReport
  ) throws(RecordError) -> KeeperConnection? {
    guard let state = try StateDirectory.find(holding: step, in: base, user: user),
      let record = try state.open(step), record.isLocked()
    else { return nil }
    do throws(SystemError) {
      // root speaks as the owner: a keeper hears nobody else, as what runs as root may be led by a stranger.
      let handle = try SocketHandle(RecordFile.command, in: record)
      let socket = try Process.acting(as: user) { () throws(SystemError) in try handle.connect() }
      // Somebody else's socket that was put there is told nothing.
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

  /// Waits for the next answer.
  ///
  /// - Parameter milliseconds: the longest wait; `nil`: for ever
  /// - Returns: `nil` when the keeper is gone or talks nonsense, or the time is over
  public mutating func next(milliseconds: Int? = nil) -> KeeperReport? {
    let deadline = milliseconds.map { Clock.milliseconds() + $0 }
    while true {
      if let line = heard.next() { return KeeperReport(line: line) }
      let left = deadline.map { $0 - Clock.milliseconds() } ?? 3_600_000
      if left <= 0 || heard.isOverlong { return nil }
      guard socket.waitReadable(milliseconds: left) else { continue }
      guard let more = try? socket.read(atMost: 65536), !more.isEmpty else { return nil }
      heard.append(more)
    }
  }
}
