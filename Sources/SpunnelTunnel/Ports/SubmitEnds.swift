// All the submit ends that one keeper holds: claimed by srun before, or bound by itself.

import Glibc
import SpunnelSystem

public final class SubmitEnds {
  private let stateDirectory: String
  private let hasOwnSockets: Bool
  private var held: [Endpoint: [SubmitSocket]] = [:]
  /// Ports on which nobody listens, and which nobody else can have.
  private var resting: [Endpoint: [SubmitSocket]] = [:]
  /// Adopted, and not claimed by a forward yet.
  private var unclaimed: Set<Endpoint> = []

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
    unclaimed.insert(end)
  }

  private func ownSocket(_ port: Port) -> [SubmitSocket] {
    (hasOwnSockets ? OwnSocket.bind(port) : nil).map { [$0] } ?? []
  }

  /// Binds an end unless it is held already.
  ///
  /// - Returns: the end; a chosen port for `free`
  public func claim(_ end: Endpoint) throws(SubmitError) -> Endpoint {
    unclaimed.remove(end)
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

  /// Borrowed: they are closed when the end is given up.
  public func descriptors(of end: Endpoint) -> [CInt] {
    (held[end] ?? []).map { $0.descriptor.raw }
  }

  /// Keeps the ends that are wanted, and gives up the others. While any is wanted, an adopted socket stays for the
  /// forward that is to claim it.
  ///
  /// - Parameters:
  ///   - wanted: those that a forward has or waits for
  ///   - kept: ports that lead nowhere and that nobody else may have: nobody listens on them any more
  public func keep(_ wanted: Set<Endpoint>, resting kept: Set<Port>) {
    let awaited = wanted.isEmpty ? [] : unclaimed
    for end in Array(held.keys) where !wanted.contains(end) && !awaited.contains(end) {
      if let port = end.port, kept.contains(port) { rest(end) } else { release(end) }
    }
    for end in Array(resting.keys) where !(end.port.map(kept.contains) ?? false) {
      for socket in resting.removeValue(forKey: end) ?? [] { socket.end() }
    }
  }

  func release(_ end: Endpoint) {
    for socket in held.removeValue(forKey: end) ?? [] { socket.end() }
    unclaimed.remove(end)
  }

  private func rest(_ end: Endpoint) {
    let sockets = held.removeValue(forKey: end) ?? []
    unclaimed.remove(end)
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

  public func releaseAll() { keep([], resting: []) }
}
