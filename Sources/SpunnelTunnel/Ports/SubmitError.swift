// Why a submit end cannot be bound.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// A submit port or socket that cannot be bound, with the next step for the user.
public enum SubmitError: Error, Equatable, CustomStringConvertible {
  case busy(Port, on: String)
  /// The port is held by another tunnel of this user.
  case own(Port, StepName)
  /// A file exists at the path.
  case taken(path: String)
  /// A socket cannot be made at the path.
  case unplaced(path: String, SystemError)
  /// Other users can change a directory on the path, and put another socket there.
  case exposed(path: String, directory: String, why: String)
  /// The path is not a valid socket path.
  case spec(SpecError)
  case system(SystemError)
  /// The user's id is the overflow uid, which stands for every unmapped user (user_namespaces(7)).
  case unknownUser(uid_t)
  /// The tunnel's record cannot be made.
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
      "'\(printable(path))' exists already: take another path, or remove it if nothing uses it"
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
  /// Another port to suggest.
  fileprivate var next: UInt16 { number == .max ? number - 1 : number + 1 }
}
