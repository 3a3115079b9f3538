// The ssh processes that are being ended, while the keeper serves the other links.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class Endings {
  /// Milliseconds between two checks of the processes.
  private static let pause = 20
  /// Milliseconds that the keeper's own end may wait for them.
  private static let patience = 2000

  private let loop: EventLoop
  private var all: [(ending: Ending, controlPath: String)] = []
  private var timer: EventLoop.Timer?

  init(_ loop: EventLoop) { self.loop = loop }

  /// Takes over a process that is being ended.
  ///
  /// - Parameter controlPath: the control socket of that ssh
  func add(_ ending: Ending, of controlPath: String) {
    all.append((ending, controlPath))
    advance()
  }

  /// Whether an ssh that is being ended may still remove this control socket.
  func mayTouch(_ controlPath: String) -> Bool {
    all.contains { $0.controlPath == controlPath && $0.ending.mayAct }
  }

  /// Advances all endings. To be called whenever a child may have ended.
  func advance() {
    all.removeAll { $0.ending.advance() }
    if timer != nil || !all.contains(where: \.ending.isTimed) { return }
    timer = loop.after(milliseconds: Endings.pause) { [weak self] in
      self?.timer = nil
      self?.advance()
    }
  }

  /// Waits a bounded time until all processes have ended, then kills the rest.
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
