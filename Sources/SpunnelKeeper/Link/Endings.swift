// All ssh of a tunnel that are being ended, while the keeper goes on with the others.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class Endings {
  /// Milliseconds between two looks.
  private static let pause = 20
  /// Milliseconds that the keeper's own end may wait for them.
  private static let patience = 2000

  private let loop: EventLoop
  private var all: [(ending: Ending, controlPath: String)] = []
  private var timer: EventLoop.Timer?

  init(_ loop: EventLoop) { self.loop = loop }

  /// - Parameter controlPath: the ssh's control socket
  func add(_ ending: Ending, of controlPath: String) {
    all.append((ending, controlPath))
    advance()
  }

  /// Whether an ssh with this control socket is still to end.
  func mayTouch(_ controlPath: String) -> Bool {
    all.contains { $0.controlPath == controlPath && $0.ending.mayAct }
  }

  /// To be called whenever a child may have ended.
  func advance() {
    all.removeAll { $0.ending.advance() }
    if timer != nil || !all.contains(where: \.ending.isTimed) { return }
    timer = loop.after(milliseconds: Endings.pause) { [weak self] in
      self?.timer = nil
      self?.advance()
    }
  }

  /// Waits until nothing of them is left, a bounded time; then it is killed.
  func finish() {
    let deadline = Clock.milliseconds() + Endings.patience
    while !all.isEmpty && Clock.milliseconds() < deadline {
      usleep(2000)
      all.removeAll { $0.ending.advance() }
    }
    for (ending, _) in all { ending.kill() }
    all = []
  }
}
