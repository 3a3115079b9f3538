// Waiting for what must come: by looking again and again, never by sleeping and hoping.
//
// That a descriptor was closed is such a thing, too: tests run side by side in one process, and a
// child that another test is starting holds copies of everything until its exec.

import Glibc
import SpunnelSystem

@testable import SpunnelTunnel

/// Milliseconds after which whatever has not happened is taken for a failure.
private let patience = 30_000

/// Looks until it is so.
///
/// - Returns: false when it never was
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = Clock.milliseconds() + patience
  while try !condition() {
    if Clock.milliseconds() > deadline { return false }
    usleep(1000)
  }
  return true
}

extension EventLoop {
  /// Turns until it is so.
  ///
  /// - Parameter condition: asked after every turn; it may do the other side's work
  /// - Returns: false when it never was
  func turn(until condition: () throws -> Bool) throws -> Bool {
    let deadline = Clock.milliseconds() + patience
    while try !condition() {
      if Clock.milliseconds() > deadline { return false }
      try turn(milliseconds: 1)
    }
    return true
  }

  /// Turns often enough for everything that is on its way to arrive.
  func settle(_ work: () throws -> Void = {}) throws {
    for _ in 0..<20 {
      try work()
      try turn(milliseconds: 0)
    }
  }
}
