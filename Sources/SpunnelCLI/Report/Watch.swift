// `--watch`: shows a report again whenever it changes. A terminal is redrawn in place; other
// outputs get one report after the other.

import Glibc
import SpunnelSystem

/// Reports that the subject of a report may have changed.
package protocol ChangeNews: AnyObject {
  /// A descriptor that is readable after a change.
  var descriptor: CInt { get }
  /// Drains pending events. Call it before making the report.
  func renew()
}

/// Prints a report again and again, on one event loop.
package final class Watch: EventHandler {
  package typealias Look = () throws(CommandError) -> any Report

  /// The shortest time between two reports, in milliseconds.
  private static let pause = 1000
  /// The longest time between two reports, in milliseconds. A crash causes no event.
  private static let patience = 3000

  private let loop: EventLoop
  private let signals: SignalWatch
  private let news: (any ChangeNews)?
  private let isJSON: Bool
  private let terminal: Terminal?
  /// What keys act on; `nil` without a terminal.
  private let screen: (any KeyedScreen)?
  private let keyboard: Keyboard?
  private let look: Look
  /// The text that was printed last.
  private var shown: String?
  private var lastLook = 0
  private var timer: EventLoop.Timer?
  private var failure: CommandError?

  /// Prints reports until a signal arrives or the reader goes away.
  ///
  /// - Parameters:
  ///   - output: the form of the reports
  ///   - news: reports changes; `nil` for reports at intervals only
  ///   - screen: the screen that keys act on, on a terminal; `look` hands it each report
  ///   - look: makes the report
  package static func run(
    _ output: Output, _ news: (any ChangeNews)?, screen: (any KeyedScreen)? = nil,
    _ look: @escaping Look
  ) throws(CommandError) {
    let watch: Watch
    do throws(SystemError) {
      watch = try Watch(output, news, screen, look)
      try watch.run()
    } catch { throw .failure("watch: \(error)") }
    if let failure = watch.failure { throw failure }
  }

  private init(
    _ output: Output, _ news: (any ChangeNews)?, _ screen: (any KeyedScreen)?,
    _ look: @escaping Look
  ) throws(SystemError) {
    loop = try EventLoop()
    signals = try SignalWatch([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH])
    self.news = news
    isJSON = output.isJSON
    terminal = isJSON ? nil : Terminal()
    keyboard = screen != nil && terminal != nil ? Keyboard() : nil
    self.screen = keyboard != nil ? screen : nil
    self.look = look
  }

  private func run() throws(SystemError) {
    try loop.add(signals.descriptor.raw, [.input], self)
    // epoll(7) reports a closed pipe without being asked. A regular file cannot be watched and
    // never closes.
    try? loop.add(STDOUT_FILENO, [], self)
    if keyboard != nil { try loop.add(STDIN_FILENO, [.input], self) }
    take()
    defer { giveBack() }
    update()
    try loop.run()
    if let descriptor = news?.descriptor { loop.remove(descriptor) }
  }

  package func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if descriptor == signals.descriptor.raw {
      for signal in (try? signals.take()) ?? [] { take(signal) }
    } else if descriptor == STDOUT_FILENO {
      loop.stop()
    } else if descriptor == STDIN_FILENO {
      takeKeys()
    } else {
      // One event is enough until the next report, however many changes follow.
      loop.remove(descriptor)
      updateLater(after: max(0, lastLook + Watch.pause - Clock.milliseconds()))
    }
  }

  private func take(_ signal: CInt) {
    switch signal {
    case SIGWINCH: redraw()
    case SIGTSTP:
      giveBack()
      kill(getpid(), SIGSTOP)
      take()
      redraw()
    default: loop.stop()
    }
  }

  private func take() {
    terminal?.take()
    keyboard?.take()
  }

  private func giveBack() {
    keyboard?.giveBack()
    terminal?.giveBack()
  }

  private func takeKeys() {
    guard let screen, let keys = keyboard?.keys() else { return loop.stop() }
    for key in keys {
      switch screen.press(key) {
      case .nothing: break
      case .redraw: redraw()
      case .look: update()
      case .quit: return loop.stop()
      }
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
    if text == shown, screen == nil { return }
    let isFirst = shown == nil
    shown = text
    if terminal != nil { return redraw() }
    write { () throws(SystemError) in
      try StandardStream.output.put((isFirst || isJSON ? text : "\n" + text) + "\n")
    }
  }

  private func redraw() {
    if let terminal, let screen {
      return write { () throws(SystemError) in try terminal.draw(screen) }
    }
    if let terminal, let shown { write { () throws(SystemError) in try terminal.draw(shown) } }
  }

  /// Writes, and stops without an error if the reader or the terminal is gone.
  private func write(_ body: () throws(SystemError) -> Void) {
    do throws(SystemError) { try body() } catch {
      let isGone = error.code == EPIPE || (error.code == EIO && terminal != nil)
      if !isGone { failure = .unwritten(error) }
      loop.stop()
    }
  }
}
