// All the submit ends that one keeper holds: claimed by srun before, or bound by itself.

import Glibc
import SpunnelSystem

public final class SubmitEnds {
  private let stateDirectory: String
  private var held: [Endpoint: [SubmitSocket]] = [:]

  public init(stateDirectory: String) { self.stateDirectory = stateDirectory }

  /// Takes a socket that is bound already.
  public func adopt(_ descriptor: CInt) throws(SystemError) {
    let socket = SubmitSocket(FileDescriptor(owning: descriptor))
    guard let port = Port(try Socket.localAddress(of: descriptor).port) else { return }
    held[.port(port), default: []].append(socket)
  }

  /// Binds an end unless it is held already.
  ///
  /// - Returns: the end; a chosen port for `free`
  public func claim(_ end: Endpoint) throws(SubmitError) -> Endpoint {
    if held[end] != nil { return end }
    switch end {
    case .port(let port):
      held[end] = try SubmitSocket.bind(port, stateDirectory: stateDirectory)
    case .path(let path):
      held[end] = [try SubmitSocket.bind(path: path)]
    case .free:
      let (port, sockets) = try SubmitSocket.bindFree()
      held[.port(port)] = sockets
      return .port(port)
    }
    return end
  }

  func contains(_ end: Endpoint) -> Bool { held[end] != nil }

  /// Borrowed: they are closed by `release`.
  public func descriptors(of end: Endpoint) -> [CInt] {
    (held[end] ?? []).map { $0.descriptor.raw }
  }

  public func release(_ end: Endpoint) {
    for socket in held.removeValue(forKey: end) ?? [] { socket.end() }
  }

  public func releaseAll() {
    for end in held.keys { release(end) }
  }
}
