// Why a record cannot be kept or read.

import SpunnelSlurm
import SpunnelSystem

/// A failure around the state directory, with the path and what to do.
public enum RecordError: Error, Equatable, Sendable, CustomStringConvertible {
  case system(SystemError)
  /// A directory that somebody else may have made or may change.
  case untrusted(path: String, why: String)
  /// The step has a tunnel already.
  case taken(StepName)
  /// A path too long for a socket in it, with the longest that fits, in bytes.
  case tooLong(path: String, limit: Int)
  /// A user's directory with more than somebody else looks at: half a sentence says what of it.
  case tooMuch(path: String, what: String)
  /// So many more directories that are not to be trusted.
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

/// Runs system calls where a `RecordError` is thrown.
func recording<Value: ~Copyable>(
  _ body: () throws(SystemError) -> Value
) throws(RecordError) -> Value {
  do throws(SystemError) { return try body() } catch { throw .system(error) }
}
