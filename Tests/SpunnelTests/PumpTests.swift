// The relay of one connection, on real sockets that hold next to nothing.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

/// A pump with both far ends of its sockets in the test's hands.
private final class Rig {
  let pump: Pump
  /// The user's program.
  let client: End
  /// ssh.
  let service: End
  /// What the pump is told when it asks.
  var isCut = false
  /// Whether the test gives the answer, later.
  var answersLater = false
  private(set) var asked: [(end: ServiceEnd, answer: (Bool) -> Void)] = []
  private(set) var ends: [PumpEnd] = []
  private(set) var moves = 0

  init(_ loop: EventLoop, _ wire: Wire = .tcp, _ pool: PipePool = PipePool()) throws {
    let near = try wire.pair()
    let far = try Wire.unix.pair()
    client = try End(near.right)
    service = try End(far.right)
    var told: (cut: CutQuestion, end: (PumpEnd) -> Void, move: () -> Void) =
      ({ _, answer in answer(true) }, { _ in }, {})
    let cut: CutQuestion = { told.cut($0, $1) }
    let end: (PumpEnd) -> Void = { told.end($0) }
    let move: () -> Void = { told.move() }
    pump = Pump(
      loop, client: near.left, service: far.left, pool: pool, askIfCut: cut, moved: move,
      finished: end)
    told = (
      { [weak self] in self?.answer($0, $1) }, { [weak self] in self?.ends.append($0) },
      { [weak self] in self?.moves += 1 }
    )
    try pump.start()
  }

  private func answer(_ end: ServiceEnd, _ answer: @escaping (Bool) -> Void) {
    asked.append((end, answer))
    if !answersLater { answer(isCut) }
  }

  func work() {
    client.work()
    service.work()
  }
}

@Suite struct PumpTests {
  private let loop: EventLoop

  init() throws { loop = try EventLoop() }

  private func turn(_ rig: Rig, until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      rig.work()
      return condition()
    }
  }

  @Test(arguments: Wire.allCases)
  func millionsOfBytesGoBothWaysAtOnceUnchanged(wire: Wire) throws {
    let rig = try Rig(loop, wire)
    let (up, down) = (noise(2_000_003, seed: 1), noise(3_000_017, seed: 2))
    rig.client.send(up)
    rig.client.finish()
    rig.service.send(down)
    rig.service.finish()
    #expect(
      try loop.turn {
        rig.work()
        return rig.service.sawEnd && rig.client.sawEnd && !rig.ends.isEmpty
      })
    rig.service.expectReceived(up)
    rig.client.expectReceived(down)
    #expect(rig.pump.sent == up.count)
    #expect(rig.pump.received == down.count)
    #expect(rig.ends == [.complete])
    #expect(rig.moves > 0)
  }

  @Test(arguments: Wire.allCases)
  func theAnswerComesAfterTheClientSaidItsLast(wire: Wire) throws {
    let rig = try Rig(loop, wire)
    rig.client.send("question")
    rig.client.finish()
    #expect(
      try loop.turn {
        rig.work()
        return rig.service.sawEnd
      })
    #expect(rig.service.text == "question")
    #expect(rig.ends == [])
    let answer = noise(100_000, seed: 3)
    rig.service.send(answer)
    rig.service.finish()
    #expect(
      try loop.turn {
        rig.work()
        return rig.client.sawEnd && !rig.ends.isEmpty
      })
    rig.client.expectReceived(answer)
    #expect(rig.ends == [.complete])
  }

  @Test(arguments: Wire.allCases)
  func theClientGoesOnAfterTheServiceSaidItsLast(wire: Wire) throws {
    let rig = try Rig(loop, wire)
    rig.service.send("greeting")
    rig.service.finish()
    #expect(
      try loop.turn {
        rig.work()
        return rig.client.sawEnd
      })
    #expect(rig.client.text == "greeting")
    #expect(rig.ends == [])
    let more = noise(100_000, seed: 4)
    rig.client.send(more)
    rig.client.finish()
    #expect(
      try loop.turn {
        rig.work()
        return rig.service.sawEnd && !rig.ends.isEmpty
      })
    rig.service.expectReceived(more)
    #expect(rig.ends == [.complete])
  }

  @Test(arguments: Wire.allCases)
  func theClientGoesOnAndOnAfterTheServiceSaidItsLast(wire: Wire) throws {
    // Many turns after one direction is over, while the other is full again and again.
    let rig = try Rig(loop, wire)
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd })
    var all: [UInt8] = []
    for seed in 0..<20 {
      let part = noise(50_000, seed: UInt64(seed))
      all += part
      rig.client.send(part)
      #expect(try turn(rig) { rig.service.received.count == all.count })
    }
    #expect(rig.ends == [])
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd && !rig.ends.isEmpty })
    rig.service.expectReceived(all)
    #expect(rig.ends == [.complete])
  }

  @Test(arguments: Wire.allCases, [true, false])
  func oneSideEndsWhileTheOtherIsInFullFlow(wire: Wire, clientIsFirst: Bool) throws {
    let rig = try Rig(loop, wire)
    let (first, last) =
      clientIsFirst ? (rig.client, rig.service) : (rig.service, rig.client)
    let (short, long) = (noise(10_007, seed: 11), noise(1_500_007, seed: 12))
    last.send(long)
    first.send(short)
    first.finish()
    #expect(try turn(rig) { last.sawEnd })
    last.expectReceived(short)
    #expect(rig.ends == [])
    #expect(try turn(rig) { first.received.count == long.count })
    #expect(rig.ends == [])
    #expect(!first.sawEnd)
    last.finish()
    #expect(try turn(rig) { first.sawEnd && !rig.ends.isEmpty })
    first.expectReceived(long)
    #expect(rig.ends == [.complete])
    #expect(
      (rig.pump.sent, rig.pump.received)
        == (clientIsFirst ? (short.count, long.count) : (long.count, short.count)))
  }

  @Test(arguments: Wire.allCases)
  func anEndWithoutAByteIsPassedOn(wire: Wire) throws {
    let rig = try Rig(loop, wire)
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd })
    #expect(rig.ends == [])
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd && !rig.ends.isEmpty })
    #expect(rig.ends == [.complete])
    #expect((rig.pump.sent, rig.pump.received) == (0, 0))
    #expect(rig.moves == 0)
  }

  @Test func theEndOfADyingSshIsAResetForTheClient() throws {
    let rig = try Rig(loop)
    rig.service.send("half an")
    #expect(try turn(rig) { rig.client.text == "half an" })
    rig.isCut = true
    rig.service.close()
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    #expect(rig.client.failure == ECONNRESET)
    #expect(rig.ends == [.broken])
  }

  @Test func aHalfCloseOfADyingSshIsNoneEither() throws {
    let rig = try Rig(loop)
    rig.isCut = true
    rig.service.finish()
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    #expect(rig.client.failure == ECONNRESET)
    #expect(rig.ends == [.broken])
  }

  @Test func anSshThatClosesBeforeItExitsIsAskedFirst() throws {
    let rig = try Rig(loop)
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
    let rig = try Rig(loop)
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
    let rig = try Rig(loop)
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd })
    #expect(rig.asked.map(\.end.isClosed) == [false])
  }

  @Test func anEndThatWasMeantStaysOneThoughSshDiesLater() throws {
    let rig = try Rig(loop)
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
    let rig = try Rig(loop)
    rig.client.send("unread")
    #expect(try loop.turn { rig.pump.sent == 6 })
    rig.service.close()
    #expect(try turn(rig) { rig.client.failure != nil || rig.client.sawEnd })
    #expect(rig.client.failure == ECONNRESET)
    #expect(rig.ends == [.broken])
  }

  @Test func aResetOfTheClientEndsTheService() throws {
    let rig = try Rig(loop)
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
    let rig = try Rig(loop)
    rig.client.send(noise(3_000_000, seed: 13))
    try loop.settle { rig.client.write() }
    #expect(!rig.client.isSent)
    rig.client.reset()
    #expect(try loop.turn { !rig.ends.isEmpty })
    #expect(rig.ends == [.broken])
  }

  @Test(arguments: Wire.allCases)
  func aServiceThatReadsNoMoreCanStillSpeak(wire: Wire) throws {
    let rig = try Rig(loop, wire)
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
    let rig = try Rig(loop, wire)
    rig.service.send("bye")
    rig.service.close()
    #expect(try turn(rig) { rig.client.sawEnd && !rig.ends.isEmpty })
    #expect(rig.client.text == "bye")
    #expect(rig.ends == [.complete])
  }

  @Test func aServiceThatIsGoneIsAnEndThoughItHalfClosedBefore() throws {
    let rig = try Rig(loop)
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd })
    #expect(rig.ends == [])
    rig.service.close()
    #expect(try turn(rig) { !rig.ends.isEmpty })
    #expect(rig.ends == [.complete])
  }

  @Test func whatSshWroteBeforeItWentStillArrives() throws {
    let rig = try Rig(loop)
    let last = noise(200_000, seed: 7)
    rig.service.send(last)
    #expect(try turn(rig) { rig.service.isSent })
    rig.service.close()
    #expect(try turn(rig) { rig.client.sawEnd && !rig.ends.isEmpty })
    rig.client.expectReceived(last)
    #expect(rig.ends == [.complete])
  }

  @Test func aClientThatDoesNotReadStopsNobodyElse() throws {
    let (slow, quick) = (try Rig(loop), try Rig(loop))
    let bytes = noise(1_000_000, seed: 8)
    slow.service.send(bytes)
    quick.service.send(bytes)
    quick.client.send(bytes)
    #expect(
      try loop.turn {
        slow.service.write()
        quick.work()
        return quick.client.received.count == bytes.count
          && quick.service.received.count == bytes.count
      })
    #expect(!slow.service.isSent)
    #expect(
      try loop.turn {
        slow.work()
        return slow.client.received.count == bytes.count
      })
    slow.client.expectReceived(bytes)
  }

  @Test func aServiceThatDoesNotReadStopsTheClientAndNobodyElse() throws {
    let (slow, quick) = (try Rig(loop), try Rig(loop))
    let bytes = noise(6_000_000, seed: 9)
    slow.client.send(bytes)
    quick.client.send("ping")
    #expect(
      try loop.turn {
        slow.client.write()
        quick.work()
        return quick.service.text == "ping"
      })
    try loop.settle { slow.client.write() }
    #expect(!slow.client.isSent)
    slow.client.finish()
    #expect(
      try loop.turn {
        slow.work()
        return slow.service.sawEnd
      })
    slow.service.expectReceived(bytes)
  }

  @Test func aCutIsAResetForTheClientAndIsReportedOnce() throws {
    let rig = try Rig(loop)
    rig.service.send("half an")
    #expect(
      try loop.turn {
        rig.work()
        return rig.client.text == "half an"
      })
    rig.pump.cut()
    rig.pump.cut()
    #expect(rig.ends == [.broken])
    #expect(
      try loop.turn {
        rig.work()
        return rig.client.failure != nil
      })
    #expect(rig.client.failure == ECONNRESET)
    #expect(
      eventually {
        rig.service.receive()
        return rig.service.sawEnd
      })
  }

  @Test(arguments: Wire.allCases)
  func theEndIsReportedExactlyOnce(wire: Wire) throws {
    let rig = try Rig(loop, wire)
    rig.client.finish()
    rig.service.finish()
    #expect(
      try loop.turn {
        rig.work()
        return !rig.ends.isEmpty
      })
    rig.pump.cut()
    try loop.settle { rig.work() }
    #expect(rig.ends == [.complete])
  }

  @Test func aPumpThatWorksForLongLetsTheLoopGoOn() throws {
    // Ends are served by other descriptors' handlers, so the loop must turn while bytes are there.
    let rig = try Rig(loop, .unix)
    let bytes = noise(1_000_000, seed: 10)
    rig.client.send(bytes)
    var turns = 0
    #expect(
      try loop.turn {
        turns += 1
        rig.work()
        return rig.service.received.count == bytes.count
      })
    #expect(turns > 1)
    rig.service.expectReceived(bytes)
  }

  @Test func noDescriptorIsLeftBehind() async {
    await #expect(processExitsWith: .success) {
      let loop = try EventLoop()
      let before = try openDescriptors()
      do {
        let pool = PipePool()
        for number in 0..<40 {
          let rig = try Rig(loop, number.isMultiple(of: 2) ? .tcp : .unix, pool)
          rig.client.send("up")
          rig.service.send("down")
          switch number % 5 {
          case 0: rig.client.finish()
          case 1: rig.client.reset()
          case 2: rig.service.close()
          case 3: rig.pump.cut()
          default: rig.isCut = true
          }
          if number % 5 != 3 { try loop.settle { rig.work() } }
          rig.service.close()
          try loop.settle()
          rig.client.close()
          try loop.settle()
          #expect(rig.ends.count == 1)
        }
      }
      #expect(try openDescriptors() == before)
    }
  }

  @Test func connectionsAtRestHoldNoPipes() async {
    await #expect(processExitsWith: .success) {
      let loop = try EventLoop()
      let pool = PipePool()
      let before = try openDescriptors()
      let rigs = try (0..<20).map { _ in try Rig(loop, .tcp, pool) }
      for (index, rig) in rigs.enumerated() {
        rig.client.send("question \(index)")
        rig.service.send("answer \(index)")
      }
      let arrived = try loop.turn {
        for rig in rigs { rig.work() }
        return rigs.enumerated().allSatisfy {
          $1.service.text == "question \($0)" && $1.client.text == "answer \($0)"
        }
      }
      #expect(arrived)
      try loop.settle()
      // Four sockets each, and the idle pipes of all together.
      let pipes = try (openDescriptors() - before - 4 * rigs.count) / 2
      #expect(pipes <= 8)
    }
  }

  @Test func bytesThatWereOnTheirWayNeverReachAnother() throws {
    let pool = PipePool()
    for round in 0..<4 {
      let stuck = try Rig(loop, .tcp, pool)
      stuck.client.send(noise(3_000_000, seed: 20))
      stuck.service.send(noise(3_000_000, seed: 21))
      try loop.settle {
        stuck.client.write()
        stuck.service.write()
      }
      switch round {
      case 0: stuck.pump.cut()
      case 1: stuck.client.reset()
      case 2: stuck.service.deafen()
      default:
        stuck.service.close()
        stuck.client.close()
      }
      try loop.settle()
      let next = try Rig(loop, .tcp, pool)
      let (up, down) = (noise(200_000, seed: 22), noise(200_000, seed: 23))
      next.client.send(up)
      next.service.send(down)
      next.client.finish()
      next.service.finish()
      #expect(try turn(next) { !next.ends.isEmpty && next.client.sawEnd && next.service.sawEnd })
      next.service.expectReceived(up)
      next.client.expectReceived(down)
    }
  }

  @Test func manyPumpsOfOnePoolDoNotMixTheirBytes() throws {
    let pool = PipePool()
    let rigs = try (0..<12).map { try Rig(loop, $0.isMultiple(of: 2) ? .tcp : .unix, pool) }
    let bytes = (0..<24).map { noise(100_000 + $0, seed: UInt64(100 + $0)) }
    for (index, rig) in rigs.enumerated() {
      rig.client.send(bytes[index])
      rig.service.send(bytes[12 + index])
      rig.client.finish()
      rig.service.finish()
    }
    #expect(
      try loop.turn {
        for rig in rigs { rig.work() }
        return rigs.allSatisfy { $0.client.sawEnd && $0.service.sawEnd && !$0.ends.isEmpty }
      })
    for (index, rig) in rigs.enumerated() {
      rig.service.expectReceived(bytes[index])
      rig.client.expectReceived(bytes[12 + index])
      #expect(rig.ends == [.complete])
    }
  }
}
