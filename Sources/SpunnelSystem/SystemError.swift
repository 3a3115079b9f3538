// The one error of the system layer, and the one place where Swift reads errno.

import Glibc

/// A system call that failed: what was being done, to what, and the errno it left.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What was being done, as a verb phrase: `open`, `bind 127.0.0.1:8001`.
  public let operation: String
  /// The errno, saved on the line where it happened.
  public let code: CInt

  /// - Parameters:
  ///   - operation: what was being done
  ///   - code: a positive errno
  public init(_ operation: String, _ code: CInt) {
    self.operation = operation
    self.code = code
  }

  /// `strerror(3)` of the code: the C library keeps the text of every errno it knows.
  public var reason: String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
  }

  public var description: String { "\(operation): \(reason)" }

  /// Whether a limit is reached, of this process, its user or the host: it may pass.
  public var isExhaustion: Bool {
    [EAGAIN, EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(code)
  }
}

/// Runs a call that returns -1 and sets errno, again as long as a signal interrupts it.
///
/// - Parameters:
///   - operation: what is being done, for the error
///   - call: the call
/// - Returns: what the call returned, zero or more
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

/// Runs a call that returns no pointer and sets errno when it fails.
///
/// - Parameters:
///   - operation: what is being done, for the error
///   - call: the call
/// - Returns: what the call returned
public func checkPointer<Pointer>(
  _ operation: @autoclosure () -> String, _ call: () -> Pointer?
) throws(SystemError) -> Pointer {
  guard let value = call() else {
    let code = errno
    throw SystemError(operation(), code)
  }
  return value
}

/// Runs a call that returns no pointer at an end as well, where it leaves errno as it was (readdir(3)).
///
/// - Parameters:
///   - operation: what is being done, for the error
///   - call: the call
/// - Returns: what the call returned, `nil` at the end
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
