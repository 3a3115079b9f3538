// All the submit ends that one keeper holds: claimed by srun before, or bound by itself.

import Glibc
import SpunnelSystem

public final class SubmitEnds {
  private let stateDirectory: String
  private let hasOwnSockets: Bool
  private var held: [Endpoint: [SubmitSocket]] = [:]
  /// Ports on which nobody listens, and which nobody else can have.
  private var resting: [Endpoint: [SubmitSocket]] = [:]

  /// - Parameter hasOwnSockets: whether each port gets a unix socket in the user's home as well
  public init(stateDirectory: String, hasOwnSockets: Bool = false) {
    self.stateDirectory = stateDirectory
    self.hasOwnSockets = hasOwnSockets
  }

  /// Takes a socket that is bound already.
  public func adopt(_ descriptor: CInt) throws(SystemError) {
    let socket = SubmitSocket(FileDescriptor(owning: descriptor))
    guard let port = Port(try Socket.localAddress(of: descriptor).port) else { return }
    let end = Endpoint.port(port)
    if held[end] == nil { held[end] = ownSocket(port) }
    held[end, default: []].append(socket)
  }

  private func ownSocket(_ port: Port) -> [SubmitSocket] {
    (hasOwnSockets ? OwnSocket.bind(port) : nil).map { [$0] } ?? []
  }

  /// Binds an end unless it is held already.
  ///
  /// - Returns: the end; a chosen port for `free`
  public func claim(_ end: Endpoint) throws(SubmitError) -> Endpoint {
    if held[end] != nil || wake(end) { return end }
    switch end {
    case .port(let port):
      let sockets = try SubmitSocket.bind(port, stateDirectory: stateDirectory)
      held[end] = sockets + ownSocket(port)
    case .path(let path):
      held[end] = [try SubmitSocket.bind(path: path)]
    case .free:
      let (port, sockets) = try SubmitSocket.bindFree()
      held[.port(port)] = sockets + ownSocket(port)
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

  /// Keeps a port from everybody, though it leads nowhere: the user was told of it and may still connect to it.
  public func rest(_ end: Endpoint) {
    guard case .port = end, let sockets = held.removeValue(forKey: end) else { return release(end) }
    let ports = sockets.filter { !$0.isPath }
    for socket in sockets where socket.isPath { socket.end() }
    for socket in ports { socket.rest() }
    resting[end] = ports
  }

  /// - Returns: whether it rested and listens again
  private func wake(_ end: Endpoint) -> Bool {
    guard case .port(let port) = end, let sockets = resting.removeValue(forKey: end) else {
      return false
    }
    do throws(SystemError) { for socket in sockets { try socket.wake() } } catch { return false }
    held[end] = sockets + ownSocket(port)
    return true
  }

  /// Gives up resting ports.
  ///
  /// - Parameter isWanted: those that are kept
  public func releaseResting(unless isWanted: (Endpoint) -> Bool = { _ in false }) {
    for (end, sockets) in resting where !isWanted(end) {
      for socket in sockets { socket.end() }
      resting[end] = nil
    }
  }

  public func releaseHeld() {
    for end in held.keys { release(end) }
  }

  public func releaseAll() {
    releaseHeld()
    releaseResting()
  }
}
