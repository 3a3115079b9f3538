// What a refused connection means: nothing listens at the far end, sshd forbids the connection, or
// the service listens on another address.
//
// For a port, sshd says why it could not connect. For a unix socket, sshd says the same words in
// every case (serverloop.c, `server_request_direct_streamlocal`).

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// Finds out why a far end has refused a connection.
struct FarLook {
  /// Milliseconds that the node has for an answer.
  private static let patience = 1000

  let loop: EventLoop
  let master: ControlMaster
  let node: NodeName
  weak var refusals: (any RefusalListener)?

  /// Looks at a far end.
  ///
  /// - Parameters:
  ///   - forward: the forward that was refused
  ///   - told: what ssh's words mean
  ///   - answer: called once with the result; perhaps before this function returns
  func look(at forward: Forward, _ told: FarEnd, _ answer: @escaping (FarEnd) -> Void) {
    switch forward.connect {
    case .path(let path) where told == .unreached:
      // This sshd is Spunnel's own and permits every path: nothing listens there.
      if master.transport == .srun { return answer(.refused) }
      RemotePath.look(path, loop, master, answer: answer)
    case .port(let port) where told == .refused && forward.host.isLoopback:
      lookBeside(port, answer)
    default: answer(told)
    }
  }

  /// Asks sshd to connect to the same port by the node's own name. The service may listen on that
  /// address only.
  private func lookBeside(_ port: Port, _ answer: @escaping (FarEnd) -> Void) {
    guard let host = HostName(node.description) else { return answer(.refused) }
    var told: ((FarEnd) -> Void)? = answer
    var timer: EventLoop.Timer?
    func tell(_ far: FarEnd) {
      loop.cancel(timer)
      let tell = told
      told = nil
      tell?(far)
    }
    do throws(SystemError) {
      try master.tryOut(Service(host: host, end: .port(port)), loop, refusals) { reply in
        tell(reply == .opened ? .elsewhere : .refused)
      }
      timer = loop.after(milliseconds: FarLook.patience) { tell(.refused) }
    } catch { tell(.refused) }
  }
}

extension ControlMaster {
  /// Asks sshd to connect to a service and to disconnect at once. A refusal is not counted as a
  /// client's.
  ///
  /// - Parameter notify: called with ssh's answers
  func tryOut(
    _ service: Service, _ loop: EventLoop, _ refusals: (any RefusalListener)?,
    _ notify: @escaping (MultiplexReply?) -> Void
  ) throws(SystemError) {
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    let connection = try ask(
      loop, MultiplexRequest.connect(service), descriptors: [null.raw, null.raw]
    ) { [weak refusals] reply in
      if case .failed = reply {} else { refusals?.expectsRefusal(false) }
      notify(reply)
    }
    refusals?.expectsRefusal(true)
    connection.release()
  }
}
