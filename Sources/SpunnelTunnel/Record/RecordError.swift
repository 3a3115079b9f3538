// Why a record cannot be written or read.

import SpunnelSlurm
import SpunnelSystem

/// A failure in the state directory, with the path and the next step for the user.
public enum RecordError: Error, Equatable, Sendable, CustomStringConvertible {
  case system(SystemError)
  /// Another user may have made the directory, or can change it.
  case untrusted(path: String, why: String)
  /// The step has a tunnel already.
  case taken(StepName)
  /// The path is too long for a unix socket. `limit` is the longest that fits, in bytes.
  case tooLong(path: String, limit: Int)
  /// A user's directory exceeds what root reads. `what` says which limit, as half a sentence.
  case tooMuch(path: String, what: String)
  /// The number of further directories that cannot be trusted.
  case moreUntrusted(Int, base: String)

  public var description: String {
    switch self {
    case .system(let error): "\(error)"
    case .untrusted(let path, let why):
      "cannot trust '\(printable(path))': \(why)"
        + (why == UserNamespace.stranger ? "" : "; remove it, or ask your administrator to")
    case .taken(let step): "\(step.words) has a tunnel already"
    case .tooLong(let path, let limit):
      "'\(printable(path))' is too long for a socket (\(limit) bytes): set a shorter state_dir="
    case .tooMuch(let path, let what): "'\(printable(path))' has more than \(what)"
    case .moreUntrusted(let count, let base):
      "\(count) more directories in '\(printable(base))' cannot be trusted"
    }
  }
}

/// Runs system calls and wraps their error in a `RecordError`.
func recording<Value: ~Copyable>(
  _ body: () throws(SystemError) -> Value
) throws(RecordError) -> Value {
  do throws(SystemError) { return try body() } catch { throw .system(error) }
}
