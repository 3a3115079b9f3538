// A SOCKS client on a real connection, until its way is known.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct SocksGreetingTests {
  private final class Told {
    var count = 0
    var client: End?
    var target: Route?
    var asked: [String] = []
  }

  private let loop: EventLoop
  private let told = Told()
  private let client: End
  private let greeting: SocksGreeting
  private let target: Route

  init() throws {
    loop = try EventLoop()
    let target = Route(try forward("8001:8000"))
    let pair = try Wire.tcp.pair()
    client = try End(pair.right)
    let entrance = Route(try forward("D:1080"))
    greeting = SocksGreeting(
      loop, pair.left, entrance, patience: 100,
      resolve: { [told] host, port in
        told.asked.append("\(host):\(port)")
        return host.description == "n1" ? target : nil
      },
      done: { [told] _, client, target in
        told.count += 1
        told.target = target
        if target != nil, let client { told.client = try? End(client) }
      })
    self.target = target
    greeting.start()
  }

  private func turn(until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      client.work()
      return condition()
    }
  }

  private static let toN1: [UInt8] = [5, 1, 0, 3, 2, 0x6e, 0x31, 0, 80]
  private static let granted: [UInt8] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]

  @Test func theClientIsHandedOnWithAllThatItSaysBehind() throws {
    client.send([5, 1, 0] + Self.toN1 + Array("hello".utf8))
    #expect(try turn { told.count == 1 && client.received.count == 12 })
    client.expectReceived([5, 0] + Self.granted)
    #expect(told.target === target)
    #expect(told.asked == ["n1:80"])
    let near = try #require(told.client)
    #expect(
      try turn {
        near.receive()
        return near.text == "hello"
      })
  }

  @Test func wordsThatComeByteByByteAreUnderstood() throws {
    for byte in [5, 1, 0] + Self.toN1 {
      #expect(told.count == 0)
      client.send([byte])
      try loop.settle { client.work() }
    }
    #expect(try turn { told.target === target })
    client.expectReceived([5, 0] + Self.granted)
  }

  @Test func anOldClientIsAnsweredInItsOwnWords() throws {
    client.send([4, 1, 0, 80, 0, 0, 0, 1, 0, 0x6e, 0x31, 0])
    #expect(try turn { told.target === target && client.received.count == 8 })
    client.expectReceived([0, 0x5a, 0, 0, 0, 0, 0, 0])
  }

  @Test func whereItMayNotGoItIsToldSo() throws {
    client.send([5, 1, 0, 5, 1, 0, 1, 10, 0, 0, 1, 0, 80])
    #expect(try turn { client.sawEnd })
    client.expectReceived([5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0])
    #expect(told.asked == ["10.0.0.1:80"])
    #expect(told.count == 1 && told.target == nil)
  }

  @Test func aClientThatWantsAPasswordIsToldThatThereIsNone() throws {
    client.send([5, 1, 2])
    #expect(try turn { client.sawEnd })
    client.expectReceived([5, 0xff])
    #expect(told.count == 1 && told.asked == [])
  }

  @Test func anotherProtocolIsCut() throws {
    client.send("GET / HTTP/1.1\r\n\r\n")
    #expect(try turn { client.failure == ECONNRESET })
    #expect(told.count == 1 && told.target == nil && client.received == [])
  }

  @Test func whoSaysNothingIsCutInTime() throws {
    client.send([5, 1])
    #expect(try turn { client.failure == ECONNRESET })
    #expect(told.count == 1 && told.target == nil)
  }

  @Test func whoLeavesIsForgotten() throws {
    client.send([5, 1, 0])
    client.finish()
    #expect(try turn { told.count == 1 })
    #expect(told.target == nil)
    greeting.cut()
    #expect(told.count == 1)
  }

  @Test func whatIsCutIsToldOnce() throws {
    greeting.cut()
    greeting.cut()
    #expect(told.count == 1 && told.target == nil)
    #expect(try turn { client.failure == ECONNRESET })
  }

  @Test func onceHandedOnItsTimeIsNotOver() throws {
    client.send([5, 1, 0] + Self.toN1)
    #expect(try turn { told.count == 1 })
    let end = Clock.milliseconds() + 200
    #expect(try turn { Clock.milliseconds() > end })
    #expect(told.count == 1 && client.failure == nil && !client.sawEnd)
  }
}
