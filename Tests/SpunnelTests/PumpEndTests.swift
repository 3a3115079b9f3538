// How one connection ends: in order, broken, or cut.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper

@Suite struct PumpEndTests: PumpSuite {
  let loop: EventLoop

  init() throws { loop = try EventLoop() }

  @Test func theEndOfADyingSshIsAResetForTheClient() throws {
    let rig = try PumpRig(loop)
    rig.service.send("half an")
    #expect(try turn(rig) { rig.client.text == "half an" })
    rig.isCut = true
    rig.service.close()
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    #expect(rig.client.failure == ECONNRESET)
    #expect(rig.ends == [.broken])
  }

  @Test func aHalfCloseOfADyingSshIsNoneEither() throws {
    let rig = try PumpRig(loop)
    rig.isCut = true
    rig.service.finish()
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    #expect(rig.client.failure == ECONNRESET)
    #expect(rig.ends == [.unanswered])
  }

  @Test func anSshThatClosesBeforeItExitsIsAskedFirst() throws {
    let rig = try PumpRig(loop)
    rig.answersLater = true
    rig.service.send("half an")
    rig.service.close()
    #expect(try turn(rig) { rig.client.text == "half an" && !rig.asked.isEmpty })
    #expect(rig.asked.map(\.end.isClosed) == [true])
    #expect(!rig.client.sawEnd && rig.ends == [])
    rig.asked.first?.answer(true)
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    #expect(rig.client.failure == ECONNRESET)
    #expect(rig.ends == [.broken])
  }

  @Test func anSshThatAnswersHasEndedTheConnectionInOrder() throws {
    let rig = try PumpRig(loop)
    rig.answersLater = true
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd })
    rig.service.send("whole")
    rig.service.close()
    #expect(try turn(rig) { !rig.asked.isEmpty })
    #expect(!rig.client.sawEnd && rig.ends == [])
    rig.asked.first?.answer(false)
    #expect(try turn(rig) { rig.client.sawEnd })
    #expect(rig.client.text == "whole" && rig.client.failure == nil)
    #expect(rig.ends == [.complete])
  }

  @Test func aDirectionThatEndsAloneIsNoClosedSocket() throws {
    let rig = try PumpRig(loop)
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd })
    #expect(rig.asked.map(\.end.isClosed) == [false])
  }

  @Test func anEndThatWasMeantStaysOneThoughSshDiesLater() throws {
    let rig = try PumpRig(loop)
    rig.service.send("whole")
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd })
    #expect(rig.client.text == "whole")
    rig.isCut = true
    rig.client.finish()
    #expect(try turn(rig) { !rig.ends.isEmpty })
    #expect(rig.ends == [.complete])
    #expect(rig.client.failure == nil)
  }

  @Test func aServiceThatGoesWithBytesUnreadBreaksTheConnection() throws {
    let rig = try PumpRig(loop)
    rig.client.send("unread")
    #expect(try loop.turn { rig.pump.sent == 6 })
    rig.service.close()
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    #expect(rig.client.failure == ECONNRESET)
    #expect(rig.ends == [.unanswered])
  }

  @Test func aResetOfTheClientEndsTheService() throws {
    let rig = try PumpRig(loop)
    rig.client.send("half a")
    #expect(try turn(rig) { rig.service.text == "half a" })
    rig.client.reset()
    #expect(
      try loop.turn {
        rig.service.receive()
        return rig.service.sawEnd
      })
    #expect(
      eventually {
        rig.service.send("too late")
        return rig.service.failure == EPIPE
      })
    #expect(rig.ends == [.broken])
  }

  @Test func aResetOfTheClientIsNoticedThoughTheServiceDoesNotRead() throws {
    let rig = try PumpRig(loop)
    rig.client.send(noise(3_000_000, seed: 13))
    try loop.settle { rig.client.write() }
    #expect(!rig.client.isSent)
    rig.client.reset()
    #expect(try loop.turn { !rig.ends.isEmpty })
    #expect(rig.ends == [.broken])
  }

  @Test(arguments: Wire.allCases)
  func aServiceThatReadsNoMoreCanStillSpeak(wire: Wire) throws {
    let rig = try PumpRig(loop, wire)
    rig.client.send(noise(1_000_000, seed: 5))
    #expect(try turn(rig) { rig.service.received.count > 10_000 })
    rig.service.deafen()
    let answer = noise(500_000, seed: 6)
    rig.service.send(answer)
    #expect(
      try loop.turn {
        rig.client.work()
        rig.service.write()
        return rig.client.received.count == answer.count
      })
    rig.client.expectReceived(answer)
    #expect(rig.ends == [])
    rig.service.finish()
    #expect(try loop.turn { !rig.ends.isEmpty })
    #expect(rig.ends == [.complete])
  }

  @Test(arguments: Wire.allCases)
  func aServiceThatIsGoneIsAnEndForASilentClient(wire: Wire) throws {
    let rig = try PumpRig(loop, wire)
    rig.service.send("bye")
    rig.service.close()
    #expect(try turn(rig) { rig.client.sawEnd && !rig.ends.isEmpty })
    #expect(rig.client.text == "bye")
    #expect(rig.ends == [.complete])
  }

  @Test func aServiceThatIsGoneIsAnEndThoughItHalfClosedBefore() throws {
    let rig = try PumpRig(loop)
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd })
    #expect(rig.ends == [])
    rig.service.close()
    #expect(try turn(rig) { !rig.ends.isEmpty })
    #expect(rig.ends == [.complete])
  }

  @Test func whatSshWroteBeforeItWentStillArrives() throws {
    let rig = try PumpRig(loop)
    let last = noise(200_000, seed: 7)
    rig.service.send(last)
    #expect(try turn(rig) { rig.service.isSent })
    rig.service.close()
    #expect(try turn(rig) { rig.client.sawEnd && !rig.ends.isEmpty })
    rig.client.expectReceived(last)
    #expect(rig.ends == [.complete])
  }

  @Test func aCutIsAResetForTheClientAndIsReportedOnce() throws {
    let rig = try PumpRig(loop)
    rig.service.send("half an")
    #expect(try turn(rig) { rig.client.text == "half an" })
    rig.pump.cut()
    rig.pump.cut()
    #expect(rig.ends == [.broken])
    #expect(try turn(rig) { rig.client.failure != nil })
    #expect(rig.client.failure == ECONNRESET)
    #expect(
      eventually {
        rig.service.receive()
        return rig.service.sawEnd
      })
  }

  @Test func anAnswerThatWasWholeOutlivesTheCut() throws {
    let rig = try PumpRig(loop)
    let answer = noise(100_000, seed: 8)
    rig.service.send(answer)
    rig.service.finish()
    #expect(
      try loop.turn {
        rig.service.write()
        return !rig.asked.isEmpty
      })
    #expect(rig.pump.received == answer.count)
    rig.pump.cut()
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    rig.client.expectReceived(answer)
    #expect(rig.client.sawEnd && rig.ends == [.broken])
  }

  @Test(arguments: [("", "", true), ("sent", "", false), ("", "received", false)])
  func onlyWhereNoByteWentItMayBeARefusal(sent: String, received: String, mayBe: Bool) throws {
    let rig = try PumpRig(loop)
    rig.client.send(sent)
    rig.service.send(received)
    #expect(try turn(rig) { rig.service.text == sent && rig.client.text == received })
    rig.service.close()
    #expect(try turn(rig) { !rig.asked.isEmpty })
    #expect(rig.asked.map(\.end.mayBeRefusal) == [mayBe])
  }

  @Test(arguments: Wire.allCases)
  func theEndIsReportedExactlyOnce(wire: Wire) throws {
    let rig = try PumpRig(loop, wire)
    rig.client.finish()
    rig.service.finish()
    #expect(try turn(rig) { !rig.ends.isEmpty })
    rig.pump.cut()
    try loop.settle { rig.work() }
    #expect(rig.ends == [.complete])
  }

  @Test func aClientThatIsGoneIsNotWaitedFor() throws {
    // What a service would still say to it nobody would read.
    let rig = try PumpRig(loop)
    rig.service.send("answer")
    #expect(try turn(rig) { rig.client.text == "answer" })
    rig.isGone = true
    rig.client.send("last words")
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd })
    #expect(rig.service.text == "last words")
    #expect(rig.ends == [.complete] && rig.asked.isEmpty)
  }

  @Test func aServiceThatHasNotAnsweredIsWaitedForThoughTheClientIsGone() throws {
    let rig = try PumpRig(loop)
    rig.isGone = true
    rig.client.send("anybody there?")
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd })
    #expect(rig.ends == [])
    rig.service.close()
    #expect(try turn(rig) { !rig.ends.isEmpty })
    #expect(rig.asked.count == 1)
  }
}
