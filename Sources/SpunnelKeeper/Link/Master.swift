// An ssh that has logged in: its control socket, and the unix sockets on which it takes
// connections.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class Master {
  /// Milliseconds before ssh is asked again when it has too many connections waiting, or there is no
  /// descriptor to ask it by.
  private static let busyPause = 20

  private let control: SocketHandle
  private var doubts: [(Bool) -> Void] = []
  /// Hosts of which the far sshd has shown that it forwards to their ports.
  var permitted: Set<HostName> = []
  let sockets: ServiceSockets

  /// - Parameters:
  ///   - record: where the sockets are
  ///   - link: the number of the link in the record
  /// - Throws: when there is no control socket
  init(_ record: Record, link: Int) throws(SystemError) {
    control = try SocketHandle(RecordFile.control(of: link), in: record.directory)
    sockets = ServiceSockets(record)
  }

  /// Asks ssh for one thing.
  ///
  /// - Parameters:
  ///   - request: a whole message
  ///   - descriptors: what the request wants besides, borrowed
  ///   - notify: told the answer, `nil` when ssh has closed the connection instead
  /// - Throws: `EAGAIN` when ssh has too many connections waiting, `ECONNREFUSED` when it is gone
  /// - Returns: to be abandoned when the answer has come or is not wanted any more
  func ask(
    _ loop: EventLoop, _ request: [UInt8], descriptors: [CInt] = [],
    notify: @escaping (MultiplexReply?) -> Void
  ) throws(SystemError) -> ControlConnection {
    let connection = try ControlConnection(loop, master: control)
    try connection.ask([request], descriptors: descriptors, notify: notify)
    return connection
  }

  /// Finds out whether ssh still works. One that has lost its connection closes all its sockets
  /// before it exits (clientloop.c, `channel_free_all`): it answers no more by then.
  ///
  /// - Parameter answer: told once
  func check(_ loop: EventLoop, _ answer: @escaping (Bool) -> Void) {
    doubts.append(answer)
    // All who doubt in the same turn are told by one answer.
    if doubts.count == 1 { loop.postpone { self.settleDoubts(loop) } }
  }

  private func settleDoubts(_ loop: EventLoop) {
    var connection: ControlConnection?
    do throws(SystemError) {
      connection = try ask(loop, MultiplexRequest.alive) { [doubts] reply in
        if case .hello = reply { return }
        connection?.abandon()
        connection = nil
        for answer in doubts { answer(reply == .alive) }
      }
      doubts = []
    } catch {
      if error.isExhaustion {
        loop.after(milliseconds: Master.busyPause) { self.settleDoubts(loop) }
      } else {
        let told = doubts
        doubts = []
        for answer in told { answer(false) }
      }
    }
  }
}

/// The unix sockets of one ssh, by the service that each leads to.
final class ServiceSockets {
  private final class Socket {
    let handle: SocketHandle
    init(_ handle: consuming SocketHandle) { self.handle = handle }
  }

  private let record: Record
  private var names: [Service: String] = [:]
  private var handles: [Service: Socket] = [:]
  private var choices: UInt16 = 0

  init(_ record: Record) { self.record = record }

  var path: String { record.directory.path }

  /// Chooses a name for the socket of a service, to be asked of ssh.
  func reserve(_ service: Service) -> MultiplexRequest.Forward {
    let name = names[service] ?? record.newSocketName()
    names[service] = name
    return forward(name, service)
  }

  /// Opens the socket that ssh has made. Held, not named: whoever could put another in its place
  /// would be handed the user's connections.
  func hold(_ service: Service) throws(SystemError) {
    guard let name = names[service] else { throw SystemError("hold a socket", ENOENT) }
    handles[service] = Socket(try SocketHandle(name, in: record.directory))
  }

  func has(_ service: Service) -> Bool { handles[service] != nil }

  /// Forgets the socket of a service.
  ///
  /// - Returns: what to ask ssh to close, `nil` when there was none
  func drop(_ service: Service) -> MultiplexRequest.Forward? {
    handles[service] = nil
    guard let name = names.removeValue(forKey: service) else { return nil }
    record.removeSocket(name)
    return forward(name, service)
  }

  /// Connects to a service, without waiting.
  ///
  /// - Returns: `nil` while ssh does not listen for it
  /// - Throws: `EAGAIN` when ssh has too many connections waiting, `ECONNREFUSED` when it is gone
  func connect(_ service: Service) throws(SystemError) -> FileDescriptor? {
    guard let socket = handles[service] else { return nil }
    return try socket.handle.connect()
  }

  /// A remote forward of a port of the far kernel's choice. ssh tells two of them apart by where
  /// they lead; this one is closed before anybody can connect.
  ///
  /// - Parameter loopback: the one address to listen on; `nil`: both
  func reserveChoice(on loopback: Loopback? = nil) -> MultiplexRequest.Forward {
    choices = choices == .max ? 1 : choices + 1
    let end = Port(choices).map { Endpoint.port($0) } ?? .free
    return .remote(listen: .free, on: loopback, to: Service(host: .localhost, end: end))
  }

  private func forward(_ name: String, _ service: Service) -> MultiplexRequest.Forward {
    .local(path: record.directory.path + "/" + name, to: service)
  }
}
