// One thread, one epoll: timers, work for later, and descriptors that go while their event is due.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

/// Runs a closure for every event.
private final class Reaction: EventHandler {
  var run: (CInt, Readiness) -> Void

  init(_ run: @escaping (CInt, Readiness) -> Void) { self.run = run }

  func handle(_ descriptor: CInt, _ readiness: Readiness) { run(descriptor, readiness) }
}

@Suite struct EventLoopTests {
  private let loop: EventLoop

  init() throws { loop = try EventLoop() }

  @Test func timersRunInTheOrderOfTheirTimes() throws {
    var order: [Int] = []
    for delay in [30, 10, 20, 0] { loop.after(milliseconds: delay) { order.append(delay) } }
    #expect(try loop.turn { order.count == 4 })
    #expect(order == [0, 10, 20, 30])
  }

  @Test func timersThatAreLateTogetherRunInTheOrderOfTheirTimes() throws {
    var order: [Int] = []
    let start = Clock.milliseconds()
    for delay in [6, 2, 4, 2] { loop.after(milliseconds: delay) { order.append(delay) } }
    #expect(eventually { Clock.milliseconds() > start + 10 })
    try loop.turn(milliseconds: 0)
    #expect(order == [2, 2, 4, 6])
  }

  @Test func aTimerDoesNotRunEarly() throws {
    let start = Clock.milliseconds()
    var ran: Int?
    loop.after(milliseconds: 25) { ran = Clock.milliseconds() }
    #expect(try loop.turn { ran != nil })
    #expect(try #require(ran) - start >= 25)
  }

  @Test func aRestIsTakenUpAgainUntilTheKernelLetsIt() throws {
    // A file cannot be watched (epoll_ctl(2), EPERM); in its place comes a pipe that can.
    let place = try FileDescriptor.open("/proc/self/status", O_RDONLY)
    let pipe = try FileDescriptor.pipe()
    try pipe.writer.writeAll([1])
    var events = 0
    var attempts = 0
    var isWanted = true
    let reaction = Reaction { descriptor, _ in
      events += 1
      loop.rest(descriptor, milliseconds: 1, [.input], Reaction { _, _ in }) { false }
    }
    loop.rest(place.raw, milliseconds: 1, [.input], reaction) {
      attempts += 1
      return isWanted
    }
    #expect(try loop.turn { attempts > 2 })
    #expect(events == 0)
    _ = dup2(pipe.reader.raw, place.raw)
    #expect(try loop.turn { events == 1 })
    isWanted = false
    attempts = 0
    loop.rest(place.raw, milliseconds: 1, [.input], reaction) {
      attempts += 1
      return isWanted
    }
    #expect(try loop.turn { attempts == 1 })
    try loop.turn(milliseconds: 20)
    #expect(events == 1)
  }

  @Test func aCancelledTimerDoesNotRun() throws {
    var ran: [String] = []
    let timer = loop.after(milliseconds: 1) { ran.append("cancelled") }
    loop.after(milliseconds: 5) { ran.append("kept") }
    loop.cancel(timer)
    loop.cancel(nil)
    #expect(try loop.turn { !ran.isEmpty })
    #expect(ran == ["kept"])
    loop.cancel(timer)
  }

  @Test func aTimerCanCancelOneThatIsDueAtTheSameTime() throws {
    var ran: [String] = []
    var second: EventLoop.Timer?
    loop.after(milliseconds: 0) {
      ran.append("first")
      loop.cancel(second)
    }
    second = loop.after(milliseconds: 0) { ran.append("second") }
    loop.after(milliseconds: 1) { ran.append("third") }
    #expect(try loop.turn { ran.last == "third" })
    #expect(ran == ["first", "third"])
  }

  @Test func aTimerThatSetsItselfAgainDoesNotHoldTheTurn() throws {
    var count = 0
    func again() {
      count += 1
      loop.after(milliseconds: 0, again)
    }
    loop.after(milliseconds: 0, again)
    try loop.turn(milliseconds: 0)
    #expect(count == 1)
    try loop.turn(milliseconds: 0)
    #expect(count == 2)
  }

  @Test func workForLaterRunsAfterTheHandlersAndOnce() throws {
    let pipe = try FileDescriptor.pipe()
    var order: [String] = []
    let reaction = Reaction { descriptor, _ in
      order.append("handler")
      loop.remove(descriptor)
    }
    loop.postpone { order.append("later") }
    try loop.add(pipe.writer.raw, [.output], reaction)
    try loop.turn(milliseconds: -1)
    try loop.turn(milliseconds: 0)
    #expect(order == ["handler", "later"])
    #expect(pipe.reader.raw >= 0)
  }

  @Test func workPutOffWhileWorkingWaitsForTheNextTurnAndTheLoopDoesNotSleep() throws {
    var count = 0
    loop.postpone { loop.postpone { count += 1 } }
    try loop.turn(milliseconds: 0)
    #expect(count == 0)
    try loop.turn(milliseconds: -1)
    #expect(count == 1)
  }

  @Test func anEventOfARemovedDescriptorIsDropped() throws {
    let pairs = [try PairBox(), try PairBox()]
    for pair in pairs { try pair.send() }
    var handled: [CInt] = []
    let both = pairs.map(\.near)
    let reaction = Reaction { descriptor, _ in
      handled.append(descriptor)
      for raw in both { loop.remove(raw) }
    }
    for raw in both { try loop.add(raw, [.input], reaction) }
    try loop.turn(milliseconds: 0)
    try loop.turn(milliseconds: 0)
    #expect(handled.count == 1)
  }

  @Test func anEventDoesNotReachTheDescriptorThatTookTheNumber() throws {
    let pairs = [try PairBox(), try PairBox()]
    for pair in pairs { try pair.send() }
    let replacement = try PairBox()
    var handled: [String] = []
    let successor = Reaction { _, _ in handled.append("successor") }
    let reaction = Reaction { descriptor, _ in
      handled.append("first")
      // The other one closes, and its number is given to a socket that is silent.
      guard let other = pairs.first(where: { $0.near != descriptor }) else { return }
      for raw in pairs.map(\.near) { loop.remove(raw) }
      dup2(replacement.near, other.near)
      try? loop.add(other.near, [.input], successor)
    }
    for pair in pairs { try loop.add(pair.near, [.input], reaction) }
    try loop.turn(milliseconds: 0)
    try loop.turn(milliseconds: 0)
    #expect(handled == ["first"])
  }

  @Test func theLoopKeepsItsHandlersAndLetsThemGo() throws {
    let pair = try FileDescriptor.streamPair()
    weak var kept: Reaction?
    do {
      let reaction = Reaction { _, _ in }
      kept = reaction
      try loop.add(pair.left.raw, [.input], reaction)
    }
    #expect(kept != nil)
    loop.remove(pair.left.raw)
    loop.remove(pair.left.raw)
    #expect(kept == nil)
  }

  @Test func whatIsForgottenAndClosedIsNeverReported() throws {
    var handled: [String] = []
    let first = try PairBox()
    let raw = first.near
    try loop.add(raw, [.input], Reaction { _, _ in handled.append("first") })
    try first.send()
    #expect(loop.forget(raw))
    #expect(!loop.forget(raw))
    // The number is another socket's now, which nobody watches, and then one that is watched.
    let second = try PairBox()
    try second.send()
    dup2(second.near, raw)
    try loop.turn(milliseconds: 0)
    #expect(handled == [])
    try loop.add(raw, [.input], Reaction { _, _ in handled.append("second") })
    try loop.turn(milliseconds: 0)
    #expect(handled == ["second"])
  }

  @Test func aChangeReportsWhatIsReadyAlready() throws {
    let pair = try PairBox()
    var seen: [Readiness] = []
    try loop.add(pair.near, [.input, .edges], Reaction { _, readiness in seen.append(readiness) })
    try loop.turn(milliseconds: 0)
    #expect(seen == [])
    try loop.change(pair.near, [.input, .output, .edges])
    try loop.turn(milliseconds: 0)
    #expect(seen == [.output])
    try loop.change(pair.near, [.input, .edges])
    try pair.send()
    try loop.turn(milliseconds: 0)
    #expect(seen == [.output, .input])
  }

  @Test func whatCannotBeWatchedIsAnError() throws {
    let file = try FileDescriptor.open("/etc/passwd", O_RDONLY)
    #expect(throws: SystemError("epoll_ctl", EPERM)) {
      try loop.add(file.raw, [.input], Reaction { _, _ in })
    }
  }

  @Test func theLoopRunsUntilItIsStopped() throws {
    var turns = 0
    func next() {
      turns += 1
      if turns == 3 { loop.stop() } else { loop.postpone(next) }
    }
    loop.postpone(next)
    try loop.run()
    #expect(turns == 3)
  }
}

/// A socket pair that closures can hold.
private final class PairBox {
  private let pair: StreamPair

  init() throws { pair = try FileDescriptor.streamPair() }

  var near: CInt { pair.left.raw }

  func send() throws { try pair.right.writeAll([1]) }
}
