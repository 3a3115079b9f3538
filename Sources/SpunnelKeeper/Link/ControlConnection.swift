// One connection to ssh's control socket. Requests are sent together; answers come back in order.

import Glibc
import SpunnelSystem

final class ControlConnection: EventHandler {
  private let loop: EventLoop
  private var control: FileDescriptor?
  private var reader = MultiplexReader()
  private var unanswered = 0
  private var notify: ((MultiplexReply?) -> Void)?
  private var isReleased = false

  /// Connects to ssh.
  ///
  /// - Parameter master: a handle of the control socket
  /// - Throws: `EAGAIN` if ssh's queue of connections is full, `ECONNREFUSED` if ssh is gone
  init(_ loop: EventLoop, master: borrowing SocketHandle) throws(SystemError) {
    self.loop = loop
    control = try master.connect()
  }

  /// Sends requests.
  ///
  /// - Parameters:
  ///   - requests: whole messages, without the hello message
  ///   - descriptors: passed with the last request; borrowed
  ///   - notify: called with each answer, and with `nil` if ssh has closed the connection
  func ask(
    _ requests: [[UInt8]], descriptors: [CInt] = [],
    notify: @escaping (MultiplexReply?) -> Void
  ) throws(SystemError) {
    guard let socket = control?.raw else { throw SystemError("ask ssh", EBADF) }
    do throws(SystemError) {
      try loop.add(socket, [.input], self)
      try control?.writeAll(MultiplexRequest.hello + requests.flatMap { $0 })
      for descriptor in descriptors { try Socket.send(descriptor, over: socket) }
    } catch {
      // ssh would wait for the rest of the request.
      close()
      throw error
    }
    unanswered = requests.count
    self.notify = notify
  }

  /// Ignores all further answers. Some versions of ssh abort if the connection of a request closes
  /// before the answer (mux.c, `mux_stdio_confirm`). The connection therefore stays open until
  /// then.
  func abandon() {
    notify = nil
    release()
  }

  /// Closes the connection as soon as every request is answered.
  func release() {
    isReleased = true
    if unanswered == 0 { close() }
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      guard let bytes = try control?.read(atMost: 4096) else { return }
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
    // The forwarded session or command has ended.
    case .exited: break
    case .done, .alive, .opened, .chosen, .failed: unanswered -= 1
    }
    notify?(reply)
    if isReleased && unanswered == 0 { close() }
  }

  private func end() {
    let told = notify
    notify = nil
    unanswered = 0
    close()
    told?(nil)
  }

  private func close() {
    if let raw = control?.raw { loop.remove(raw) }
    control = nil
    notify = nil
  }
}
