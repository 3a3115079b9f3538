// Finds out whether a node is this host, over an ssh that has logged in to it.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// Listens for a moment and asks the node's sshd to connect to that port of its own localhost. If a
/// connection arrives, the node is this host. Names and addresses cannot show this: a network
/// namespace, a jump host or an alias may lie between.
final class Whereabouts {
  private let listener: FileDescriptor
  private let port: Port

  /// Listens on a free port of localhost.
  ///
  /// - Throws: if this host has no loopback address
  init() throws(SystemError) {
    var found: FileDescriptor?
    for loopback in Loopback.allCases where found == nil {
      found = try? Socket.listen(loopback, port: 0)
    }
    guard let socket = found.take(),
      let port = Port(try Socket.localAddress(of: socket.raw).port)
    else { throw SystemError("listen on localhost", EADDRNOTAVAIL) }
    listener = socket
    self.port = port
  }

  /// Asks the node's sshd to connect.
  ///
  /// - Parameters:
  ///   - master: the ssh that has logged in to the node
  ///   - refusals: hears ssh's messages about channels that it could not open
  ///   - answer: called once with whether the node is this host; `nil` if ssh is gone
  func ask(
    _ loop: EventLoop, _ master: ControlMaster, _ refusals: (any RefusalListener)?,
    answer: @escaping (Bool?) -> Void
  ) throws(SystemError) {
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    let service = Service(host: .localhost, end: .port(port))
    var isAnswered = false
    let connection = try master.ask(
      loop, MultiplexRequest.connect(service), descriptors: [null.raw, null.raw]
    ) { [weak refusals] reply in
      if case .hello = reply { return }
      if isAnswered { return }
      isAnswered = true
      if case .failed = reply {} else { refusals?.expectsRefusal(false) }
      guard let reply else { return answer(nil) }
      answer(reply == .opened && self.hasVisitor)
    }
    refusals?.expectsRefusal(true)
    connection.release()
  }

  private var hasVisitor: Bool {
    guard let visitor = try? Socket.accept(from: listener.raw) else { return false }
    Socket.resetOnClose(visitor.descriptor.raw)
    return true
  }
}
