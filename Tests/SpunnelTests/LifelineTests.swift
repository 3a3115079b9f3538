// The keeper's reports to whoever started it, however much of them nobody reads.

import SpunnelSystem
import Testing

@testable import Spunnel

@Suite struct LifelineTests {
  private final class Ends {
    var count = 0
  }

  private let loop: EventLoop
  private let lifeline: Lifeline
  private let far: End
  private let ends = Ends()

  init() throws {
    loop = try EventLoop()
    let pair = try FileDescriptor.streamPair()
    far = try End(pair.right)
    lifeline = try Lifeline(loop, pair.left) { [ends] in ends.count += 1 }
  }

  private var failure: KeeperReport { .failed(String(repeating: "x", count: 1 << 20)) }

  @Test func whatHasNoRoomWaitsAndHoldsUpNobody() throws {
    lifeline.say(failure)
    lifeline.say(.done)
    #expect(ends.count == 0)
    #expect(
      try loop.turn {
        far.receive()
        return far.text.hasSuffix("done\n")
      })
    #expect(far.text == failure.line + KeeperReport.done.line)
    // Nothing is left to be sent: the loop is not woken for it.
    try loop.settle()
    #expect(ends.count == 0)
    lifeline.say(.done)
    far.receive()
    #expect(far.text.hasSuffix("done\ndone\n"))
  }

  @Test func theOtherEndsGoingIsHeardOnceWhateverWaits() throws {
    lifeline.say(failure)
    far.finish()
    #expect(try loop.turn { ends.count > 0 })
    // It still listens: what is said in answer reaches it.
    far.receive(atMost: 2 << 20)
    lifeline.say(.done)
    try loop.settle { far.receive(atMost: 2 << 20) }
    lifeline.say(.done)
    try loop.settle { far.receive(atMost: 2 << 20) }
    far.close()
    lifeline.say(failure)
    try loop.settle()
    lifeline.close()
    lifeline.say(.done)
    #expect(ends.count == 1)
  }
}
