// The keeper's reports, however much of them nobody reads.

import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct ReportSocketTests {
  private final class Ends {
    var count = 0
    weak var line: ReportSocket?
  }

  private let loop: EventLoop
  private let line: ReportSocket
  private let far: End
  private let ends = Ends()

  init() throws {
    loop = try EventLoop()
    let pair = try FileDescriptor.streamPair()
    far = try End(pair.right)
    line = try ReportSocket(loop, pair.left) { [ends] in
      ends.count += 1
      ends.line?.stopHearing()
    }
    ends.line = line
  }

  private var failure: KeeperReport { .failed(String(repeating: "x", count: 1 << 20)) }

  @Test func whatHasNoRoomWaitsAndHoldsUpNobody() throws {
    line.say(failure)
    line.say(.done)
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
    line.say(.done)
    far.receive()
    #expect(far.text.hasSuffix("done\ndone\n"))
  }

  @Test func theOtherEndsGoingIsHeardOnceWhateverWaits() throws {
    line.say(failure)
    far.finish()
    #expect(try loop.turn { ends.count > 0 })
    // It still listens: what is said in answer reaches it.
    far.receive(atMost: 2 << 20)
    line.say(.done)
    try loop.settle { far.receive(atMost: 2 << 20) }
    line.say(.done)
    try loop.settle { far.receive(atMost: 2 << 20) }
    line.say(failure)
    far.close()
    try loop.settle()
    try loop.settle()
    line.close()
    line.say(.done)
    #expect(ends.count == 1)
  }
}
