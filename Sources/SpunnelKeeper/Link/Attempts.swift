// When a link tries to reach its node: after a pause, or sooner if a connection waits for it.

import SpunnelSystem
import SpunnelTunnel

/// The connection attempts of one link. At most one is planned at a time.
final class Attempts {
  /// Milliseconds between two attempts before the first connection succeeds.
  static let startPause = 250
  /// The longest pause in milliseconds while a client's connection waits: a client would not wait
  /// much longer.
  private static let awaitedPause = 1000

  /// Makes one attempt.
  var make: () -> Void = {}
  /// The pauses between attempts to reconnect.
  var backoff = Backoff()
  private let loop: EventLoop
  private var timer: EventLoop.Timer?
  /// When the next attempt comes and when the last one ended, in milliseconds of the monotonic
  /// clock.
  private var nextTime = 0
  private var endTime: Int?

  init(_ loop: EventLoop) { self.loop = loop }

  /// Whether an attempt is planned.
  var isPlanned: Bool { timer != nil }

  /// Plans an attempt. It replaces the attempt that was planned before.
  func plan(after milliseconds: Int) {
    loop.cancel(timer)
    nextTime = Clock.milliseconds() + milliseconds
    timer = loop.after(milliseconds: milliseconds) { [weak self] in
      self?.timer = nil
      self?.make()
    }
  }

  /// Notes that an attempt failed, or that its connection was lost.
  func noteEnd() { endTime = Clock.milliseconds() }

  /// Plans the next attempt.
  ///
  /// - Parameters:
  ///   - isStart: whether the first connection is still to be made
  ///   - isAwaited: whether a client's connection waits for the link
  func planNext(isStart: Bool, isAwaited: Bool) {
    let pause = isStart ? Attempts.startPause : backoff.take()
    plan(after: isAwaited ? min(pause, Attempts.awaitedPause) : pause)
  }

  /// Brings the next attempt forward because a client has begun to wait, even if the pauses have
  /// grown long.
  func hurry() {
    guard isPlanned, let endTime, nextTime > endTime + Attempts.awaitedPause else { return }
    plan(after: max(0, endTime + Attempts.awaitedPause - Clock.milliseconds()))
  }

  func stop() {
    loop.cancel(timer)
    timer = nil
  }
}
