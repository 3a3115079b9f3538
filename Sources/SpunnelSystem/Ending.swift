// Ending a child: TERM, a pause, KILL. It advances in short steps, so that the caller need not
// wait.

import Glibc

/// A child that leads its own process group and is being ended with all its descendants in the
/// group.
public final class Ending {
  private let child: pid_t
  /// Milliseconds in which its descendants may end by themselves after it has ended; `nil`: they
  /// get no such time.
  private let rest: Int?
  private var isReaped = false
  /// The signals still to send, with their times in milliseconds of the monotonic clock.
  private var steps: [(due: Int, signal: CInt)]

  /// Ends a child: TERM now, KILL later.
  ///
  /// - Parameters:
  ///   - child: from now on only this object waits for it
  ///   - patience: milliseconds between TERM and KILL
  ///   - rest: milliseconds for its descendants to end by themselves; `nil`: TERM and KILL go to
  ///     the whole group
  public init(_ child: pid_t, patience: Int, rest: Int? = nil) {
    self.child = child
    self.rest = rest
    let now = Clock.milliseconds()
    steps = [(now, SIGTERM), (now + patience, SIGKILL)]
  }

  /// Gives a child time to end by itself first.
  ///
  /// - Parameters:
  ///   - child: from now on only this object waits for it
  ///   - grace: milliseconds before TERM, and again before KILL; then its descendants get as much to
  ///     end by themselves
  public init(_ child: pid_t, grace: Int) {
    self.child = child
    rest = grace
    let now = Clock.milliseconds()
    steps = [(now + grace, SIGTERM), (now + grace * 2, SIGKILL)]
  }

  /// Ends the descendants of a child that has already been waited for.
  ///
  /// - Parameters:
  ///   - child: the former leader of the process group
  ///   - rest: milliseconds in which they may end by themselves
  public init(leftBy child: pid_t, rest: Int) {
    self.child = child
    self.rest = rest
    steps = []
    outlive()
  }

  /// Whether the child may still act on its own: it runs and has not been sent KILL.
  public var mayAct: Bool { !isReaped && !steps.isEmpty }

  /// Whether a signal is still to be sent at a later time. If not, SIGCHLD tells when the child has
  /// ended.
  public var isTimed: Bool { !steps.isEmpty }

  /// Sends the signals that are due. To be called after each SIGCHLD, and every few milliseconds
  /// while `isTimed`.
  ///
  /// - Returns: whether no process of the group is left
  public func advance() -> Bool {
    if !isReaped, Process.poll(child) != .running { outlive() }
    // Checked often: once the group is empty, its number may be given to another group.
    if isReaped, Glibc.kill(-child, 0) != 0 { return true }
    while let step = steps.first, step.due <= Clock.milliseconds() {
      steps.removeFirst()
      send(step.signal)
    }
    return isReaped && steps.isEmpty
  }

  /// Kills the rest of the group at once.
  public func kill() { _ = Glibc.kill(-child, SIGKILL) }

  /// Notes that the child has ended. The rest of its group follows.
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
