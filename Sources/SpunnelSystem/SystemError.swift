// The error type of the system layer, and the only file in which Swift reads errno.

import Glibc

/// A failed system call: the operation, its object, and the errno.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What was being done, as a verb phrase: `open`, `bind 127.0.0.1:8001`.
  public let operation: String
  /// The errno, saved on the line where it happened.
  public let code: CInt

  /// Describes a failed call.
  ///
  /// - Parameters:
  ///   - operation: what was being done
  ///   - code: a positive errno
  public init(_ operation: String, _ code: CInt) {
    self.operation = operation
    self.code = code
  }

  /// The C library's text for the errno (strerror(3)).
  public var reason: String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
  }

  /// The operation and the reason, with what to do where a limit of the user's or `HOME` is at fault.
  public var description: String {
    "\(operation): \(reason)" + (advice.map { ": \($0)" } ?? "")
  }

  /// What the user can do, where the error alone tells that.
  public var advice: String? {
    if code == EMFILE { return "raise the limit of open files, ulimit -n" }
    if code == EAGAIN, operation.hasPrefix("start ") {
      return "raise the limit of processes, ulimit -u, or end some"
    }
    if let home = Process.environment("HOME"), operation == "mkdir \(home)" {
      return "set HOME to a folder that is there and yours"
    }
    return nil
  }

  /// Whether a limit of the process, its user or the host is reached: a later attempt may succeed.
  public var isExhaustion: Bool {
    [EAGAIN, EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(code)
  }
}

/// Runs a call that returns -1 and sets errno on failure. If a signal interrupts the call, it runs
/// again.
///
/// - Parameters:
///   - operation: what is being done, for the error
///   - call: the call
/// - Returns: the call's result, zero or more
@discardableResult
public func check<Value: SignedInteger>(
  _ operation: @autoclosure () -> String, _ call: () -> Value
) throws(SystemError) -> Value {
  while true {
    let value = call()
    if value >= 0 { return value }
    let code = errno
    if code != EINTR { throw SystemError(operation(), code) }
  }
}

/// Runs a call that returns NULL and sets errno on failure.
///
/// - Parameters:
///   - operation: what is being done, for the error
///   - call: the call
/// - Returns: the call's result
public func checkPointer<Pointer>(
  _ operation: @autoclosure () -> String, _ call: () -> Pointer?
) throws(SystemError) -> Pointer {
  guard let value = call() else {
    let code = errno
    throw SystemError(operation(), code)
  }
  return value
}

/// Runs a call that returns NULL on failure and also at the end; at the end it does not change
/// errno (readdir(3)).
///
/// - Parameters:
///   - operation: what is being done, for the error
///   - call: the call
/// - Returns: the call's result; `nil` at the end
public func checkEnd<Pointer>(
  _ operation: @autoclosure () -> String, _ call: () -> Pointer?
) throws(SystemError) -> Pointer? {
  errno = 0
  let value = call()
  let code = errno
  if value == nil && code != 0 { throw SystemError(operation(), code) }
  return value
}

/// Turns the negated errno of a `csystem_` function into an error.
@discardableResult
public func checkNegated(
  _ operation: @autoclosure () -> String, _ value: CInt
) throws(SystemError) -> CInt {
  if value < 0 { throw SystemError(operation(), -value) }
  return value
}
