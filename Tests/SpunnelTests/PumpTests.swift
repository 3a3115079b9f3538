// The relay of one connection, on real sockets that hold next to nothing: what flows.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct PumpTests: PumpSuite {
  let loop: EventLoop

  init() throws { loop = try EventLoop() }

  @Test(arguments: Wire.allCases)
  func millionsOfBytesGoBothWaysAtOnceUnchanged(wire: Wire) throws {
    let rig = try PumpRig(loop, wire)
    let (up, down) = (noise(2_000_003, seed: 1), noise(3_000_017, seed: 2))
    rig.client.send(up)
    rig.client.finish()
    rig.service.send(down)
    rig.service.finish()
    #expect(try turn(rig) { rig.service.sawEnd && rig.client.sawEnd && !rig.ends.isEmpty })
    rig.service.expectReceived(up)
    rig.client.expectReceived(down)
    #expect(rig.pump.sent == up.count)
    #expect(rig.pump.received == down.count)
    #expect(rig.ends == [.complete])
    #expect(rig.moves > 0)
  }

  @Test(arguments: Wire.allCases)
  func theAnswerComesAfterTheClientSaidItsLast(wire: Wire) throws {
    let rig = try PumpRig(loop, wire)
    rig.client.send("question")
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd })
    #expect(rig.service.text == "question")
    #expect(rig.ends == [])
    let answer = noise(100_000, seed: 3)
    rig.service.send(answer)
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd && !rig.ends.isEmpty })
    rig.client.expectReceived(answer)
    #expect(rig.ends == [.complete])
  }

  @Test(arguments: Wire.allCases)
  func theClientGoesOnAfterTheServiceSaidItsLast(wire: Wire) throws {
    let rig = try PumpRig(loop, wire)
    rig.service.send("greeting")
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd })
    #expect(rig.client.text == "greeting")
    #expect(rig.ends == [])
    let more = noise(100_000, seed: 4)
    rig.client.send(more)
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd && !rig.ends.isEmpty })
    rig.service.expectReceived(more)
    #expect(rig.ends == [.complete])
  }

  @Test(arguments: Wire.allCases)
  func theClientGoesOnAndOnAfterTheServiceSaidItsLast(wire: Wire) throws {
    // Many turns after one direction is over, while the other is full again and again.
    let rig = try PumpRig(loop, wire)
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
    let rig = try PumpRig(loop, wire)
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
    let rig = try PumpRig(loop, wire)
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd })
    #expect(rig.ends == [])
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd && !rig.ends.isEmpty })
    #expect(rig.ends == [.complete])
    #expect((rig.pump.sent, rig.pump.received) == (0, 0))
    #expect(rig.moves == 0)
  }

  /// `!` stands for a byte of urgent data.
  @Test(
    arguments: Wire.allCases,
    ["abc!def", "!abc", "abc!", "!", "a!b!c", "!a!", "abc!d!efg!h"])
  func allButUrgentDataArrivesInOrder(wire: Wire, text: String) throws {
    let rig = try PumpRig(loop, wire)
    try sendUrgently(text, rig)
    let rest = text.filter { $0 != "!" }
    #expect(try turn(rig) { rig.service.text == rest })
    // Nothing of it keeps the loop awake.
    let sleeps = try eventually {
      let before = Clock.milliseconds()
      try loop.turn(milliseconds: 100)
      return Clock.milliseconds() - before >= 100
    }
    #expect(sleeps)
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd })
    #expect(rig.service.text == rest)
    rig.service.send("thanks")
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd && !rig.ends.isEmpty })
    #expect(rig.client.text == "thanks")
    #expect(rig.ends == [.complete])
  }

  @Test(arguments: Wire.allCases, ["abc!def", "!abc", "abc!", "!", "a!b!c"])
  func theEndAfterUrgentDataHidesNoByte(wire: Wire, text: String) throws {
    let rig = try PumpRig(loop, wire)
    try sendUrgently(text, rig)
    rig.client.finish()
    #expect(try turn(rig) { rig.service.sawEnd })
    #expect(rig.service.text == text.filter { $0 != "!" })
    #expect(rig.ends == [])
  }

  @Test(arguments: Wire.allCases)
  func urgentDataHurriesPastNothingThatTheServiceHasNotRead(wire: Wire) throws {
    let rig = try PumpRig(loop, wire)
    var bytes: [UInt8] = []
    var before = -1
    while before < rig.pump.sent {
      before = rig.pump.sent
      let part = noise(1000, seed: UInt64(bytes.count))
      bytes += part
      rig.client.send(part)
      try loop.settle()
    }
    rig.client.sendUrgently()
    let rest = noise(400_000, seed: 15)
    rig.client.send(rest)
    rig.client.finish()
    try loop.settle { rig.client.write() }
    #expect(try turn(rig) { rig.service.sawEnd })
    rig.service.expectReceived(bytes + rest)
  }

  /// From ssh none ever comes.
  @Test func urgentDataOfTheServiceHidesNoByteEither() throws {
    let rig = try PumpRig(loop)
    rig.service.send("abc")
    rig.service.sendUrgently()
    rig.service.send("def")
    rig.service.finish()
    #expect(try turn(rig) { rig.client.sawEnd })
    #expect(rig.client.text == "abcdef")
  }

  /// Each byte of urgent data but the first only when all before it has arrived: of two that were not
  /// read the kernel takes the earlier one for ordinary data (tcp(7)).
  private func sendUrgently(_ text: String, _ rig: PumpRig) throws {
    for (index, part) in text.split(separator: "!", omittingEmptySubsequences: false).enumerated() {
      if index > 1 {
        let before = text.split(separator: "!", omittingEmptySubsequences: false)[..<index].joined()
        #expect(try turn(rig) { rig.service.text == before })
      }
      if index > 0 { rig.client.sendUrgently() }
      rig.client.send(String(part))
    }
  }
}
