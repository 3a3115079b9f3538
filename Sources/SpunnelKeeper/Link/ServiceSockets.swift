// The unix sockets on which one ssh takes connections, by the service that each leads to.

import Glibc
import SpunnelSystem
import SpunnelTunnel

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
