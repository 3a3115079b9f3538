// An ssh process that has logged in: the control master, spoken to over its control socket
// (ssh_config(5), ControlMaster).

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class ControlMaster {
  /// Milliseconds before the next try, if ssh's queue of connections is full or no descriptor is
  /// free.
  private static let busyPause = 20

  private let control: SocketHandle
  private var doubts: [(Bool) -> Void] = []
  /// Hosts to whose ports the far sshd is known to forward.
  var permitted: Set<HostName> = []
  let sockets: ServiceSockets
  /// How this ssh reaches the node.
  var transport: Transport?

  /// Opens a handle of the control socket.
  ///
  /// - Parameters:
  ///   - record: the folder of the sockets
  ///   - link: the number of the link in the record
  /// - Throws: if the control socket does not exist
  init(_ record: Record, link: Int) throws(SystemError) {
    control = try SocketHandle(RecordFile.control(of: link), in: record.directory)
    sockets = ServiceSockets(record)
  }

  /// Sends ssh one request.
  ///
  /// - Parameters:
  ///   - request: a whole message
  ///   - descriptors: passed with the request; borrowed
  ///   - notify: called with the answer, or with `nil` if ssh has closed the connection
  /// - Throws: `EAGAIN` if ssh's queue of connections is full, `ECONNREFUSED` if ssh is gone
  /// - Returns: the connection; abandon it when the answer has come or is no longer wanted
  func ask(
    _ loop: EventLoop, _ request: [UInt8], descriptors: [CInt] = [],
    notify: @escaping (MultiplexReply?) -> Void
  ) throws(SystemError) -> ControlConnection {
    let connection = try ControlConnection(loop, master: control)
    try connection.ask([request], descriptors: descriptors, notify: notify)
    return connection
  }

  /// Finds out whether ssh still works. An ssh that has lost its connection closes all its channels
  /// before it exits (clientloop.c, `channel_free_all`). By then it no longer answers.
  ///
  /// - Parameter answer: called once
  func check(_ loop: EventLoop, _ answer: @escaping (Bool) -> Void) {
    doubts.append(answer)
    // One answer serves all callers of the same turn.
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
