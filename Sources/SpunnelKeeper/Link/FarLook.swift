// What a refused connection means: nothing listens at the far end, or something lies between.
//
// sshd tells of a port why it could not connect. Of a unix socket it says the same words in every case
// (serverloop.c, `server_request_direct_streamlocal`).

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// Finds out more about a far end that has refused a connection.
struct FarLook {
  /// Milliseconds after which a node's silence is no answer.
  private static let patience = 1000

  let loop: EventLoop
  let master: ControlMaster
  let node: NodeName
  weak var refusals: (any RefusalListener)?

  /// Looks.
  ///
  /// - Parameters:
  ///   - told: what ssh's words mean
  ///   - answer: told once what is known now; perhaps before this returns
  func look(at forward: Forward, _ told: FarEnd, _ answer: @escaping (FarEnd) -> Void) {
    switch forward.connect {
    case .path(let path) where told == .unreached:
      // That sshd is Spunnel's own and permits every path.
      if master.transport == .srun { return answer(.refused) }
      RemotePath.look(path, loop, master, answer: answer)
    case .port(let port) where told == .refused && forward.host.isLoopback:
      lookBeside(port, answer)
    default: answer(told)
    }
  }

  /// Has the node connect to the same port by its own name: a service may listen on that address alone.
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
  /// Has sshd connect to a service and disconnect at once. A refusal is no client's.
  ///
  /// - Parameter notify: told what ssh answers
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
