// Many connections at once: none stops another, none gets another's bytes, none leaves anything.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper

@Suite struct PumpPoolTests: PumpSuite {
  let loop: EventLoop

  init() throws { loop = try EventLoop() }

  @Test func aClientThatDoesNotReadStopsNobodyElse() throws {
    let (slow, quick) = (try PumpRig(loop), try PumpRig(loop))
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
    #expect(try turn(slow) { slow.client.received.count == bytes.count })
    slow.client.expectReceived(bytes)
  }

  @Test func aServiceThatDoesNotReadStopsTheClientAndNobodyElse() throws {
    let (slow, quick) = (try PumpRig(loop), try PumpRig(loop))
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
    #expect(try turn(slow) { slow.service.sawEnd })
    slow.service.expectReceived(bytes)
  }

  @Test func aPumpThatWorksForLongLetsTheLoopGoOn() throws {
    // Ends are served by other descriptors' handlers, so the loop must turn while bytes are there.
    let rig = try PumpRig(loop, .unix)
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
          let rig = try PumpRig(loop, number.isMultiple(of: 2) ? .tcp : .unix, pool)
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
      let rigs = try (0..<20).map { _ in try PumpRig(loop, .tcp, pool) }
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

  @Test func noConnectionIsCutOrStandsStillForWantOfADescriptor() async {
    await #expect(processExitsWith: .success) {
      let loop = try EventLoop()
      let pool = PipePool()
      let slow = try (0..<12).map { try PumpRig(loop, $0.isMultiple(of: 2) ? .tcp : .unix, pool) }
      let quick = try PumpRig(loop, .tcp, pool)
      quick.client.send("question")
      let isAsked = try loop.turn {
        quick.work()
        return quick.service.text == "question"
      }
      #expect(isAsked)
      let descriptors = NoDescriptors()
      let bytes = (0..<24).map { noise(600_000 + $0, seed: UInt64(300 + $0)) }
      for (index, rig) in slow.enumerated() {
        rig.client.send(bytes[index])
        rig.service.send(bytes[12 + index])
      }
      try loop.settle {
        for rig in slow {
          rig.client.write()
          rig.service.write()
        }
      }
      #expect(slow.allSatisfy { !$0.client.isSent && !$0.service.isSent && $0.ends.isEmpty })
      quick.service.send("answer")
      let isAnswered = try loop.turn {
        quick.work()
        return quick.client.text == "answer"
      }
      #expect(isAnswered)
      for rig in slow {
        rig.client.finish()
        rig.service.finish()
      }
      let haveEnded = try loop.turn {
        for rig in slow { rig.work() }
        return slow.allSatisfy { !$0.ends.isEmpty && $0.client.sawEnd && $0.service.sawEnd }
      }
      #expect(haveEnded)
      for (index, rig) in slow.enumerated() {
        rig.service.expectReceived(bytes[index])
        rig.client.expectReceived(bytes[12 + index])
        #expect(rig.ends == [.complete])
      }
      descriptors.giveBack()
    }
  }

  @Test func whileAnEndIsAskedAboutTheServicesSocketIsNotHeld() async {
    // The question needs a descriptor: connections that end when there is none left have these.
    await #expect(processExitsWith: .success) {
      let loop = try EventLoop()
      let rig = try PumpRig(loop)
      rig.answersLater = true
      rig.service.send("whole")
      let hasArrived = try loop.turn {
        rig.work()
        return rig.client.text == "whole"
      }
      #expect(hasArrived)
      let before = try openDescriptors()
      rig.service.close()
      #expect(try loop.turn { !rig.asked.isEmpty })
      #expect(rig.asked.map(\.end.isClosed) == [true])
      // The test's end, and the pump's.
      #expect(try openDescriptors() == before - 2)
      rig.client.send("to nobody")
      try loop.settle { rig.work() }
      #expect(!rig.client.sawEnd && rig.ends == [])
      rig.asked.first?.answer(false)
      let hasEnded = try loop.turn {
        rig.work()
        return rig.client.sawEnd
      }
      #expect(hasEnded)
      #expect(rig.ends == [.complete])
    }
  }

  @Test func bytesThatWereOnTheirWayNeverReachAnother() throws {
    let pool = PipePool()
    for round in 0..<4 {
      let stuck = try PumpRig(loop, .tcp, pool)
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
      let next = try PumpRig(loop, .tcp, pool)
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
    let rigs = try (0..<12).map { try PumpRig(loop, $0.isMultiple(of: 2) ? .tcp : .unix, pool) }
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
