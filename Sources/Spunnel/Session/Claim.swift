// The submit ports, bound before the job is queued and held until the keeper has them.

import Glibc
import SpunnelSystem

/// Why the ports cannot be had.
enum ClaimError: Error, Equatable, CustomStringConvertible {
  case busy(Port, on: String)
  /// One of this user's own tunnels holds the port.
  case own(Port, StepName)
  case system(SystemError)
  /// There is no place for the tunnel's record.
  case record(RecordError)

  var description: String {
    switch self {
    case .busy(let port, let host):
      "port \(port) of \(host) is in use: take another submit port, as in \(port.next):8000"
    case .own(let port, let step):
      "port \(port) is held by your own tunnel of job \(step.job), step \(step.stepLabel): take "
        + "another submit port, or end that job with scancel \(step.job)"
    case .system(let error): "\(error)"
    case .record(let error): "\(error)"
    }
  }
}

extension Port {
  /// Another port to propose.
  fileprivate var next: UInt16 { number == .max ? number - 1 : number + 1 }
}

/// Bound sockets of all submit ports of a spec.
struct Claim: ~Copyable {
  let spec: TunnelSpec
  let settings: Settings
  let sockets: [ClaimedSocket]

  /// Binds every submit port on 127.0.0.1 and ::1, all or nothing. Whether a record can be made is
  /// looked at first: it would be found out only after the job has waited in the queue.
  init(_ spec: TunnelSpec, _ settings: Settings) throws(ClaimError) {
    do throws(RecordError) {
      try StateDirectory.verify(in: settings.stateDirectory, user: getuid())
    } catch { throw .record(error) }
    var sockets: [ClaimedSocket] = []
    for forward in spec.forwards {
      let bound = try Claim.bind(forward.submit, settings)
      sockets += bound
    }
    self.spec = spec
    self.settings = settings
    self.sockets = sockets
  }

  /// Frees the ports that no keeper was given.
  borrowing func release() {
    for claimed in sockets { Socket.stopListening(claimed.socket.raw) }
  }

  private static func bind(
    _ port: Port, _ settings: Settings
  ) throws(ClaimError) -> [ClaimedSocket] {
    var bound: [ClaimedSocket] = []
    var absent: SystemError?
    for loopback in Loopback.allCases {
      do throws(SystemError) {
        bound.append(ClaimedSocket(try Socket.listen(loopback, port: port.number)))
      } catch {
        switch error.code {
        // This host has no such address: one of the two is enough.
        case EADDRNOTAVAIL, EAFNOSUPPORT: absent = error
        case EADDRINUSE: throw busy(port, settings)
        default: throw .system(error)
        }
      }
    }
    if let absent, bound.isEmpty { throw .system(absent) }
    return bound
  }

  private static func busy(_ port: Port, _ settings: Settings) -> ClaimError {
    let holder = RecordView.holder(of: port, in: settings.stateDirectory, user: getuid())
    if let holder { return .own(port, holder.step) }
    return .busy(port, on: Host.name)
  }
}

/// One bound and listening socket.
final class ClaimedSocket {
  let socket: FileDescriptor

  init(_ socket: consuming FileDescriptor) { self.socket = socket }
}
