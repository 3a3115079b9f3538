// All submit ends that one keeper holds, bound by srun earlier or by the keeper itself.

import Glibc
import SpunnelSystem

/// The sockets of a keeper's submit ends. It owns them and closes an end as soon as no forward
/// needs it.
public final class SubmitEnds {
  private let stateDirectory: String
  private let hasOwnSockets: Bool
  private var held: [Endpoint: [SubmitSocket]] = [:]
  /// Ports that are bound but do not listen, so that no other process can take them.
  private var resting: [Endpoint: [SubmitSocket]] = [:]
  /// Adopted ends that no forward has claimed yet.
  private var unclaimed: Set<Endpoint> = []

  /// - Parameters:
  ///   - stateDirectory: the absolute path of `state_dir=`, where the holder of a busy port is
  ///     looked up
  ///   - hasOwnSockets: whether each port also gets a unix socket in the user's home
  public init(stateDirectory: String, hasOwnSockets: Bool = false) {
    self.stateDirectory = stateDirectory
    self.hasOwnSockets = hasOwnSockets
  }

  /// Takes over a socket that is already bound.
  ///
  /// - Parameter descriptor: the socket; this object closes it
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

  /// Binds an end unless it is already held.
  ///
  /// - Parameter end: a port, a path, or `free` for a port that the kernel chooses
  /// - Returns: the end, with the chosen port for `free`
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

  /// The listening descriptors of an end, borrowed. They are closed when the end is released.
  public func descriptors(of end: Endpoint) -> [CInt] {
    (held[end] ?? []).map { $0.descriptor.raw }
  }

  /// Keeps the wanted ends and releases the others.
  ///
  /// While any end is wanted, an adopted socket that no forward has claimed stays for its forward.
  ///
  /// - Parameters:
  ///   - wanted: ends that a forward has or waits for
  ///   - kept: ports that lead nowhere but must stay bound; they stop listening
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

  /// Makes a resting port listen again.
  ///
  /// - Returns: whether the port was resting and listens now
  private func wake(_ end: Endpoint) -> Bool {
    guard case .port(let port) = end, let sockets = resting.removeValue(forKey: end) else {
      return false
    }
    do throws(SystemError) { for socket in sockets { try socket.wake() } } catch { return false }
    held[end] = sockets + ownSocket(port)
    return true
  }

  /// Closes all ends.
  public func releaseAll() { keep([], resting: []) }
}
