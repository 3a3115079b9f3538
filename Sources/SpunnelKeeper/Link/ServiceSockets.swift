// The unix sockets on which one ssh accepts connections, one for each service.

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

  /// Chooses a name for the socket of a service.
  ///
  /// - Returns: the forward to request from ssh
  func reserve(_ service: Service) -> MultiplexRequest.Forward {
    let name = names[service] ?? record.newSocketName()
    names[service] = name
    return forward(name, service)
  }

  /// Opens a handle of the socket that ssh has made. Later connections use the handle, not the
  /// name: a user who could replace the file of that name would receive the connections.
  func hold(_ service: Service) throws(SystemError) {
    guard let name = names[service] else { throw SystemError("hold a socket", ENOENT) }
    handles[service] = Socket(try SocketHandle(name, in: record.directory))
  }

  func has(_ service: Service) -> Bool { handles[service] != nil }

  /// Forgets the socket of a service and removes it.
  ///
  /// - Returns: the forward that ssh is to close; `nil` if there was no socket
  func drop(_ service: Service) -> MultiplexRequest.Forward? {
    handles[service] = nil
    guard let name = names.removeValue(forKey: service) else { return nil }
    record.removeSocket(name)
    return forward(name, service)
  }

  /// Connects to a service without waiting.
  ///
  /// - Returns: the connected socket; `nil` while ssh does not listen for the service
  /// - Throws: `EAGAIN` if ssh's queue of connections is full, `ECONNREFUSED` if ssh is gone
  func connect(_ service: Service) throws(SystemError) -> FileDescriptor? {
    guard let socket = handles[service] else { return nil }
    return try socket.handle.connect()
  }

  /// A remote forward whose port the far kernel chooses. ssh tells two such forwards apart by their
  /// targets, so each gets its own. The forward is closed before a client can connect.
  ///
  /// - Parameter loopback: the only address to listen on; `nil`: both
  func reserveChoice(on loopback: Loopback? = nil) -> MultiplexRequest.Forward {
    choices = choices == .max ? 1 : choices + 1
    let end = Port(choices).map { Endpoint.port($0) } ?? .free
    return .remote(listen: .free, on: loopback, to: Service(host: .localhost, end: end))
  }

  private func forward(_ name: String, _ service: Service) -> MultiplexRequest.Forward {
    .local(path: record.directory.path + "/" + name, to: service)
  }
}
