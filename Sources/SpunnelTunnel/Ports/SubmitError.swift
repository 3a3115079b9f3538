// Why a submit end cannot be had.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// A submit port or socket that is not to be had, with what to do next.
public enum SubmitError: Error, Equatable, CustomStringConvertible {
  case busy(Port, on: String)
  /// One of this user's own tunnels holds the port.
  case own(Port, StepName)
  /// There is something at the path already.
  case taken(path: String)
  /// No socket can be made at the path.
  case unplaced(path: String, SystemError)
  /// A directory on the way in which others could put another socket there.
  case exposed(path: String, directory: String, why: String)
  /// A path that cannot be one.
  case spec(SpecError)
  case system(SystemError)
  /// The user's own id is the one that stands for everybody (user_namespaces(7)).
  case unknownUser(uid_t)
  /// There is no place for the tunnel's record.
  case record(RecordError)

  public var description: String {
    switch self {
    case .busy(let port, let host):
      "port \(port) of \(host) is in use: take another submit port, as in \(port.next):8000, or a "
        + "free one, as in :8000"
    case .own(let port, let step):
      "port \(port) is held by your own tunnel of job \(step.job), step \(step.stepLabel): take "
        + "another submit port, or end that one with spunnelctl close \(step.job)"
    case .taken(let path):
      "'\(printable(path))' is there already: take another path, or remove it if nothing uses it"
    case .unplaced(let path, let error):
      "'\(printable(path))': \(error.reason): take a path in a directory that is there and yours"
    case .exposed(let path, let directory, let why):
      "'\(printable(path))': others could put a socket of theirs there ('\(printable(directory))': "
        + "\(why))"
        + (why == UserNamespace.stranger ? "" : ": take a path in a directory of your own")
    case .spec(let error): "\(error)"
    case .system(let error): "\(error)"
    case .unknownUser(let user):
      "uid \(user) stands for every user that this user namespace (a rootless container) does not know: type "
        + "the command outside of the container"
    case .record(let error): "\(error)"
    }
  }
}

extension Port {
  /// Another port to propose.
  fileprivate var next: UInt16 { number == .max ? number - 1 : number + 1 }
}
