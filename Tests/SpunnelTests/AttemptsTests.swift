// When a link tries again, without any ssh.

import Testing

@testable import SpunnelKeeper
@testable import SpunnelSystem
@testable import SpunnelTunnel

@Suite struct AttemptsTests {
  private let loop: EventLoop
  private let attempts: Attempts

  init() throws {
    loop = try EventLoop()
    attempts = Attempts(loop)
    attempts.backoff = Backoff(first: 4000, longest: 16_000)
  }

  /// Milliseconds to the next attempt, 0 for none.
  private var pause: Int { attempts.isPlanned ? loop.timeToNext(atMost: 60_000) : 0 }

  @Test func thePausesOfAReturnGrowAndThoseOfAStartDoNot() {
    for longest in [4000, 8000, 16_000, 16_000] {
      attempts.planNext(isStart: false, isAwaited: false)
      // Some of it has passed by now, on a machine that is at work the more.
      #expect(longest - 3000...longest ~= pause)
      attempts.planNext(isStart: true, isAwaited: false)
      #expect(pause <= Attempts.startPause)
    }
  }

  @Test func whoWaitsIsNotKeptWaitingByGrownPauses() {
    attempts.planNext(isStart: false, isAwaited: true)
    #expect(pause <= 1000)
    attempts.noteEnd()
    attempts.planNext(isStart: false, isAwaited: false)
    #expect(pause > 1000)
    attempts.hurry()
    #expect(pause <= 1000)
  }

  @Test func hurryChangesNothingWhereItIsNotKnownSinceWhenOrNoneIsPlanned() {
    attempts.planNext(isStart: false, isAwaited: false)
    attempts.hurry()
    #expect(pause > 1000)
    attempts.stop()
    attempts.noteEnd()
    attempts.hurry()
    #expect(!attempts.isPlanned)
  }

  @Test func anAttemptIsMadeOnceAndInPlaceOfTheOneBefore() throws {
    var made = 0
    attempts.make = { [attempts] in
      made += 1
      #expect(!attempts.isPlanned)
    }
    attempts.plan(after: 2)
    attempts.plan(after: 1)
    #expect(try loop.turn { made == 1 })
    let end = Clock.milliseconds() + 10
    #expect(try loop.turn { Clock.milliseconds() > end })
    #expect(made == 1)
    attempts.make = {}
  }

  @Test func aStopLeavesNone() {
    attempts.plan(after: 1)
    attempts.stop()
    #expect(loop.timeToNext(atMost: 60_000) == 60_000)
  }
}
