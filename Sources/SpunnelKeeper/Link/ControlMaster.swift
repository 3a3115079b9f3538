// An ssh that has logged in, spoken to over its control socket (ssh_config(5), ControlMaster).

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class ControlMaster {
  /// Milliseconds before ssh is asked again when it has too many connections waiting, or there is no
  /// descriptor to ask it by.
  private static let busyPause = 20

  private let control: SocketHandle
  private var doubts: [(Bool) -> Void] = []
  /// Hosts of which the far sshd has shown that it forwards to their ports.
  var permitted: Set<HostName> = []
  let sockets: ServiceSockets
  /// The way that it took to the node.
  var transport: Transport?

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
        loop.after(milliseconds: ControlMaster.busyPause) { self.settleDoubts(loop) }
      } else {
        let told = doubts
        doubts = []
        for answer in told { answer(false) }
      }
    }
  }
}
