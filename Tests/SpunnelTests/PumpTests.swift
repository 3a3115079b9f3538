// The relay of one connection, on real sockets and pipes that hold next to nothing.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

/// A pump with all four ends of its wires in the test's hands.
private final class Rig {
  let pump: Pump
  /// The user's program.
  let client: End
  /// Where ssh reads.
  let sshInput: End
  /// Where ssh writes.
  let sshOutput: End
  private(set) var ends: [PumpEnd] = []
  private(set) var moves = 0

  init(_ loop: EventLoop, _ wire: Wire = .tcp) throws {
    let pair = try wire.pair()
    let outward = try smallPipe()
    let inward = try smallPipe()
    client = try End(pair.right)
    sshInput = try End(outward.reader)
    sshOutput = try End(inward.writer)
    var told: (end: (PumpEnd) -> Void, move: () -> Void) = ({ _ in }, {})
    let end: (PumpEnd) -> Void = { told.end($0) }
    let move: () -> Void = { told.move() }
    pump = Pump(
      loop, client: pair.left, outward: outward.writer, inward: inward.reader, moved: move,
      finished: end)
    told = ({ [weak self] in self?.ends.append($0) }, { [weak self] in self?.moves += 1 })
    try pump.start()
  }

  func work() {
    client.work()
    sshInput.receive()
    sshOutput.write()
  }
}

@Suite struct PumpTests {
  private let loop: EventLoop

  init() throws { loop = try EventLoop() }

  @Test(arguments: Wire.allCases)
  func millionsOfBytesGoBothWaysAtOnceUnchanged(wire: Wire) throws {
    let rig = try Rig(loop, wire)
    let (up, down) = (noise(2_000_003, seed: 1), noise(3_000_017, seed: 2))
    rig.client.send(up)
    rig.client.finish()
    rig.sshOutput.send(down)
    rig.sshOutput.finish()
    #expect(
      try loop.turn {
        rig.work()
        return rig.sshInput.sawEnd && rig.client.sawEnd && !rig.ends.isEmpty
      })
    rig.sshInput.expectReceived(up)
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
        return rig.sshInput.sawEnd
      })
    #expect(rig.sshInput.text == "question")
    #expect(rig.ends == [])
    let answer = noise(100_000, seed: 3)
    rig.sshOutput.send(answer)
    rig.sshOutput.finish()
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
    rig.sshOutput.send("greeting")
    rig.sshOutput.finish()
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
        return rig.sshInput.sawEnd && !rig.ends.isEmpty
      })
    rig.sshInput.expectReceived(more)
    #expect(rig.ends == [.complete])
  }

  @Test func aResetOfTheClientEndsBothPipes() throws {
    let rig = try Rig(loop)
    rig.client.send("half a")
    #expect(
      try loop.turn {
        rig.work()
        return rig.sshInput.text == "half a"
      })
    rig.client.reset()
    #expect(
      try loop.turn {
        rig.sshInput.receive()
        return rig.sshInput.sawEnd
      })
    rig.sshOutput.send("too late")
    #expect(rig.sshOutput.failure == EPIPE)
    #expect(rig.ends == [.broken])
  }

  @Test(arguments: Wire.allCases)
  func aServiceThatReadsNoMoreCanStillSpeak(wire: Wire) throws {
    let rig = try Rig(loop, wire)
    rig.client.send(noise(1_000_000, seed: 5))
    #expect(
      try loop.turn {
        rig.work()
        return rig.sshInput.received.count > 10_000
      })
    rig.sshInput.close()
    let answer = noise(500_000, seed: 6)
    rig.sshOutput.send(answer)
    #expect(
      try loop.turn {
        rig.work()
        return rig.client.received.count == answer.count
      })
    rig.client.expectReceived(answer)
    #expect(rig.ends == [])
    rig.sshOutput.finish()
    #expect(
      try loop.turn {
        rig.work()
        return !rig.ends.isEmpty
      })
    #expect(rig.ends == [.complete])
  }

  @Test func aServiceThatReadsNoMoreIsNoticedWhileTheClientIsSilent() throws {
    let rig = try Rig(loop)
    rig.sshInput.close()
    rig.sshOutput.close()
    #expect(
      try loop.turn {
        rig.client.receive()
        return rig.client.sawEnd
      })
    #expect(rig.ends == [.complete])
  }

  @Test func whatSshWroteBeforeItWentStillArrives() throws {
    let rig = try Rig(loop)
    let last = noise(200_000, seed: 7)
    rig.sshOutput.send(last)
    #expect(
      try loop.turn {
        rig.work()
        return rig.sshOutput.isSent
      })
    rig.sshOutput.close()
    rig.sshInput.close()
    #expect(
      try loop.turn {
        rig.work()
        return rig.client.sawEnd && !rig.ends.isEmpty
      })
    rig.client.expectReceived(last)
    #expect(rig.ends == [.complete])
  }

  @Test func aClientThatDoesNotReadStopsNobodyElse() throws {
    let (slow, quick) = (try Rig(loop), try Rig(loop))
    let bytes = noise(1_000_000, seed: 8)
    slow.sshOutput.send(bytes)
    quick.sshOutput.send(bytes)
    quick.client.send(bytes)
    #expect(
      try loop.turn {
        slow.sshOutput.write()
        quick.work()
        return quick.client.received.count == bytes.count
          && quick.sshInput.received.count == bytes.count
      })
    #expect(!slow.sshOutput.isSent)
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
        return quick.sshInput.text == "ping"
      })
    try loop.settle { slow.client.write() }
    #expect(!slow.client.isSent)
    slow.client.finish()
    #expect(
      try loop.turn {
        slow.work()
        return slow.sshInput.sawEnd
      })
    slow.sshInput.expectReceived(bytes)
  }

  @Test func aCutIsAResetForTheClientAndIsReportedOnce() throws {
    let rig = try Rig(loop)
    rig.sshOutput.send("half an")
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
    #expect(rig.sshInput.sawEnd)
  }

  @Test(arguments: Wire.allCases)
  func theEndIsReportedExactlyOnce(wire: Wire) throws {
    let rig = try Rig(loop, wire)
    rig.client.finish()
    rig.sshOutput.finish()
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
        return rig.sshInput.received.count == bytes.count
      })
    #expect(turns > 1)
    rig.sshInput.expectReceived(bytes)
  }

  @Test func noDescriptorIsLeftBehind() async {
    await #expect(processExitsWith: .success) {
      let loop = try EventLoop()
      let before = try openDescriptors()
      for number in 0..<40 {
        let rig = try Rig(loop, number.isMultiple(of: 2) ? .tcp : .unix)
        rig.client.send("up")
        rig.sshOutput.send("down")
        switch number % 5 {
        case 0: rig.client.finish()
        case 1: rig.client.reset()
        case 2: rig.sshInput.close()
        case 3: rig.pump.cut()
        default: try loop.settle { rig.work() }
        }
        if number % 5 != 3 { try loop.settle { rig.work() } }
        rig.sshOutput.close()
        rig.sshInput.close()
        try loop.settle()
        rig.client.close()
        try loop.settle()
      }
      #expect(try openDescriptors() == before)
    }
  }
}
