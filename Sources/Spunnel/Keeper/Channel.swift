// One connection through ssh: two descriptors handed to the control master over its socket.
//
// ssh then does by itself what `ssh -W` does: what it reads from the one goes to the far port,
// what comes back it writes to the other. Two and not one socket, because ssh passes the end of one
// direction on by closing a descriptor of its own.

import Glibc
import SpunnelSystem

final class Channel: EventHandler {
  enum Event: Equatable {
    /// The far end is connected.
    case opened
    /// The far end could not be connected.
    case refused
    /// ssh is done with it, or is gone.
    case closed
  }

  private let loop: EventLoop
  private var control: FileDescriptor?
  private var reader = MultiplexReader()
  private var isAnswered = false
  private var isAbandoned = false
  private var notify: ((Event) -> Void)?

  /// Connects to ssh.
  ///
  /// - Parameter controlPath: ssh's control socket
  /// - Throws: `EAGAIN` when ssh has too many requests waiting, `ECONNREFUSED` or `ENOENT` when
  ///   it is gone
  init(_ loop: EventLoop, controlPath: String) throws(SystemError) {
    self.loop = loop
    control = try Socket.connect(unix: controlPath)
  }

  /// Asks for a connection; the answer comes through `notify`.
  ///
  /// - Parameters:
  ///   - host: a name that the far sshd resolves
  ///   - port: of that host
  ///   - input: what ssh reads from, borrowed; once the far end is connected
  ///   - notify: told what comes of it
  /// - Returns: the read end of the pipe that ssh writes to, non-blocking
  func open(
    host: String, port: Port, input: CInt, notify: @escaping (Event) -> Void
  ) throws(SystemError) -> FileDescriptor {
    guard let socket = control?.raw else { throw SystemError("open channel", EBADF) }
    let inward = try FileDescriptor.pipe()
    try control?.writeAll(MultiplexRequest.connect(host: host, port: port))
    try Socket.send(input, over: socket)
    try Socket.send(inward.writer.raw, over: socket)
    try loop.add(socket, [.input], self)
    self.notify = notify
    return inward.reader
  }

  /// Ends the channel at both sides. ssh of some versions aborts when a request's control
  /// connection is gone before it was answered (mux.c, `mux_stdio_confirm`), so the answer is
  /// waited for.
  func abandon() {
    notify = nil
    isAbandoned = true
    if isAnswered { close() }
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      guard let bytes = try control?.read(atMost: 4096) ?? nil else { return }
      if bytes.isEmpty { return end() }
      for reply in try parse(bytes) { take(reply) }
    } catch { end() }
  }

  private func parse(_ bytes: [UInt8]) throws(SystemError) -> [MultiplexReply] {
    do throws(MultiplexReader.Malformed) { return try reader.take(bytes) } catch {
      throw SystemError("read ssh's control socket", EPROTO)
    }
  }

  private func take(_ reply: MultiplexReply) {
    switch reply {
    case .hello, .other: return
    case .opened:
      isAnswered = true
      notify?(.opened)
    case .failed:
      isAnswered = true
      notify?(.refused)
    }
    if isAbandoned { close() }
  }

  private func end() {
    close()
    notify?(.closed)
    notify = nil
  }

  private func close() {
    if let raw = control?.raw { loop.remove(raw) }
    control = nil
  }
}
