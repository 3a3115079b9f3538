// --watch: a report again whenever it says something new, on a terminal in place, elsewhere one
// after the other.

import Glibc
import SpunnelSystem

/// Tells that what a report is about has changed.
package protocol ChangeNews: AnyObject {
  /// Readable when something may have changed.
  var descriptor: CInt { get }
  /// Forgets what was noted, to be called before one looks.
  func renew()
}

package final class Watch: EventHandler {
  package typealias Look = () throws(CommandError) -> any Report

  /// Milliseconds between two looks at the least.
  private static let pause = 1000
  /// Milliseconds after which one looks though nothing was heard of: a crash is not heard.
  private static let patience = 3000

  private let loop: EventLoop
  private let signals: SignalWatch
  private let news: (any ChangeNews)?
  private let isJSON: Bool
  private let terminal: Terminal?
  private let look: Look
  /// What was told last.
  private var shown: String?
  private var lastLook = 0
  private var timer: EventLoop.Timer?
  private var failure: CommandError?

  /// Tells, until it is interrupted or nobody listens any more.
  ///
  /// - Parameters:
  ///   - news: what tells that something has changed; `nil`: nothing does
  ///   - look: makes the report
  package static func run(
    _ output: Output, _ news: (any ChangeNews)?, _ look: @escaping Look
  ) throws(CommandError) {
    let watch: Watch
    do throws(SystemError) {
      watch = try Watch(output, news, look)
      try watch.run()
    } catch { throw .failure("watch: \(error)") }
    if let failure = watch.failure { throw failure }
  }

  private init(
    _ output: Output, _ news: (any ChangeNews)?, _ look: @escaping Look
  ) throws(SystemError) {
    loop = try EventLoop()
    signals = try SignalWatch([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH])
    self.news = news
    isJSON = output.isJSON
    terminal = isJSON ? nil : Terminal()
    self.look = look
  }

  private func run() throws(SystemError) {
    try loop.add(signals.descriptor.raw, [.input], self)
    // Its end is heard without asking; a file has none and cannot be watched.
    try? loop.add(STDOUT_FILENO, [], self)
    terminal?.take()
    defer { terminal?.giveBack() }
    update()
    try loop.run()
    if let descriptor = news?.descriptor { loop.remove(descriptor) }
  }

  package func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if descriptor == signals.descriptor.raw {
      for signal in (try? signals.take()) ?? [] { take(signal) }
    } else if descriptor == STDOUT_FILENO {
      loop.stop()
    } else {
      // However much happens, once is enough until the next look.
      loop.remove(descriptor)
      updateLater(after: max(0, lastLook + Watch.pause - Clock.milliseconds()))
    }
  }

  private func take(_ signal: CInt) {
    switch signal {
    case SIGWINCH: redraw()
    case SIGTSTP:
      terminal?.giveBack()
      kill(getpid(), SIGSTOP)
      terminal?.take()
      redraw()
    default: loop.stop()
    }
  }

  private func updateLater(after milliseconds: Int) {
    loop.cancel(timer)
    timer = loop.after(milliseconds: milliseconds) { [weak self] in self?.update() }
  }

  private func update() {
    lastLook = Clock.milliseconds()
    do throws(CommandError) {
      news?.renew()
      tell((isJSON ? OutputForm.jsonLine : .text).render(try look()))
      listen()
    } catch {
      failure = error
      loop.stop()
    }
  }

  private func listen() {
    if let descriptor = news?.descriptor {
      loop.remove(descriptor)
      try? loop.add(descriptor, [.input], self)
    }
    updateLater(after: Watch.patience)
  }

  private func tell(_ text: String) {
    if text == shown { return }
    let isFirst = shown == nil
    shown = text
    if terminal != nil { return redraw() }
    write { () throws(SystemError) in
      try StandardStream.output.put((isFirst || isJSON ? text : "\n" + text) + "\n")
    }
  }

  private func redraw() {
    if let terminal, let shown { write { () throws(SystemError) in try terminal.draw(shown) } }
  }

  /// Ends without a word when the reader or the terminal has gone.
  private func write(_ body: () throws(SystemError) -> Void) {
    do throws(SystemError) { try body() } catch {
      let isGone = error.code == EPIPE || (error.code == EIO && terminal != nil)
      if !isGone { failure = .unwritten(error) }
      loop.stop()
    }
  }
}
