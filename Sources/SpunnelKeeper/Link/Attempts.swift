// When a link tries to reach its node: after a pause, or sooner because somebody waits.

import SpunnelSystem
import SpunnelTunnel

/// The attempts of one link, one to come at a time.
final class Attempts {
  /// Milliseconds between two attempts while the first connection is made.
  static let startPause = 250
  /// The longest pause while somebody's connection waits, who would be gone after a longer one.
  private static let awaitedPause = 1000

  /// Makes one.
  var make: () -> Void = {}
  /// Between the attempts to return.
  var backoff = Backoff()
  private let loop: EventLoop
  private var timer: EventLoop.Timer?
  /// When the next one comes, and when the last one ended, in milliseconds of the monotonic clock.
  private var nextTime = 0
  private var endTime: Int?

  init(_ loop: EventLoop) { self.loop = loop }

  /// Whether one is to come.
  var isPlanned: Bool { timer != nil }

  /// Has one made, in place of another that was to come.
  func plan(after milliseconds: Int) {
    loop.cancel(timer)
    nextTime = Clock.milliseconds() + milliseconds
    timer = loop.after(milliseconds: milliseconds) { [weak self] in
      self?.timer = nil
      self?.make()
    }
  }

  /// The last one has ended, whether it failed or what it had brought up was lost.
  func noteEnd() { endTime = Clock.milliseconds() }

  /// Has another made.
  ///
  /// - Parameters:
  ///   - isStart: whether the first connection is still to be made
  ///   - isAwaited: whether somebody's connection waits for it
  func planNext(isStart: Bool, isAwaited: Bool) {
    let pause = isStart ? Attempts.startPause : backoff.take()
    plan(after: isAwaited ? min(pause, Attempts.awaitedPause) : pause)
  }

  /// Somebody has begun to wait: the next one is not far, whatever the pauses have grown to.
  func hurry() {
    guard isPlanned, let endTime, nextTime > endTime + Attempts.awaitedPause else { return }
    plan(after: max(0, endTime + Attempts.awaitedPause - Clock.milliseconds()))
  }

  func stop() {
    loop.cancel(timer)
    timer = nil
  }
}
