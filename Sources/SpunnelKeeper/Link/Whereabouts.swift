// Finds out whether a node is this host, over an ssh that has logged in to it.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// Listens for a moment, and has the node's sshd connect to that port of its own localhost: whoever arrives
/// there came from here. Names and addresses would not tell: a network namespace, a jump or an alias may stand
/// between.
final class Whereabouts {
  private let listener: FileDescriptor
  private let port: Port

  /// - Throws: where this host has neither loopback address
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

  /// Asks.
  ///
  /// - Parameters:
  ///   - master: the ssh that has logged in to the node
  ///   - refusals: hears what ssh says of channels that it could not open
  ///   - answer: told once whether it is this host; `nil` when ssh is gone
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
