// How a child is ended: TERM, some time, KILL; a look from time to time, so that nobody has to wait.

import Glibc

/// A child that leads its own process group, on its way out with all that it has started.
public final class Ending {
  private let child: pid_t
  /// Milliseconds in which what it has started ends by itself, once it has; `nil`: it is not spared.
  private let rest: Int?
  private var isReaped = false
  /// What is still to be sent, and when, in milliseconds of the monotonic clock.
  private var steps: [(due: Int, signal: CInt)]

  /// - Parameters:
  ///   - child: not waited for by anybody else from now on
  ///   - patience: milliseconds between TERM and KILL
  ///   - rest: milliseconds for what it has started, which ends by itself; `nil`: TERM and KILL are
  ///     for the whole group
  public init(_ child: pid_t, patience: Int, rest: Int? = nil) {
    self.child = child
    self.rest = rest
    let now = Clock.milliseconds()
    steps = [(now, SIGTERM), (now + patience, SIGKILL)]
  }

  /// A child that ends by itself, and what it has started after it.
  ///
  /// - Parameters:
  ///   - child: not waited for by anybody else from now on
  ///   - grace: milliseconds before TERM, and from there to KILL; for what it leaves behind the same again
  public init(_ child: pid_t, grace: Int) {
    self.child = child
    rest = grace
    let now = Clock.milliseconds()
    steps = [(now + grace, SIGTERM), (now + grace * 2, SIGKILL)]
  }

  /// What a child has left behind that was waited for.
  ///
  /// - Parameter rest: milliseconds in which it ends by itself
  public init(leftBy child: pid_t, rest: Int) {
    self.child = child
    self.rest = rest
    steps = []
    outlive()
  }

  /// Whether the child may still do something of its own: it was not killed.
  public var mayAct: Bool { !isReaped && !steps.isEmpty }

  /// Whether something is to be sent in time; without, SIGCHLD will tell.
  public var isTimed: Bool { !steps.isEmpty }

  /// Sends what is due; to be called again after each SIGCHLD, and soon while it is timed.
  ///
  /// - Returns: whether nothing of it is left
  public func advance() -> Bool {
    if !isReaped, Process.poll(child) != .running { outlive() }
    // Looked at often, as the number is anybody's once the group is empty.
    if isReaped, Glibc.kill(-child, 0) != 0 { return true }
    while let step = steps.first, step.due <= Clock.milliseconds() {
      steps.removeFirst()
      send(step.signal)
    }
    return isReaped && steps.isEmpty
  }

  /// Kills what is left, without any patience.
  public func kill() { _ = Glibc.kill(-child, SIGKILL) }

  /// The child is gone: the rest of its group follows.
  private func outlive() {
    isReaped = true
    let now = Clock.milliseconds()
    guard let rest else { return steps = [(now, SIGKILL)] }
    steps = [(now + rest, SIGTERM), (now + rest + rest / 2, SIGKILL)]
  }

  private func send(_ signal: CInt) {
    _ = Glibc.kill(isReaped || rest == nil ? -child : child, signal)
  }
}
