// One direction of a relay, and the pipes that directions share.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper

/// The wires of one direction, with the far ends in the test's hands.
private final class Wires {
  let source: FileDescriptor
  private let target: FileDescriptor
  let sender: End
  let receiver: End
  var flow = Flow()
  let pool = PipePool()

  init() throws {
    let from = try Wire.unix.pair()
    let to = try Wire.unix.pair()
    source = from.left
    sender = try End(from.right)
    target = to.left
    receiver = try End(to.right)
  }

  func move() -> Flow.Step { flow.move(from: source.raw, to: target.raw, pool) }

  /// A pipe of the pool that nobody has used before has nothing in it; nor may one that was.
  func poolIsClean() throws -> Bool {
    let loans = try (0..<3).map { _ in try #require(pool.borrow()) }
    return try loans.allSatisfy { try duplicate($0.reader).read(atMost: 1) == nil }
  }
}

@Suite struct FlowTests {
  @Test func nothingToMoveIsEmptyAndNeedsNoPipe() throws {
    let wires = try Wires()
    let pipe = try #require(wires.pool.borrow())
    let numbers = [pipe.reader, pipe.writer]
    wires.pool.giveBack(pipe)
    #expect(wires.move() == .empty)
    let again = try #require(wires.pool.borrow())
    #expect([again.reader, again.writer] == numbers)
  }

  @Test func bytesAreMovedAndCounted() throws {
    let wires = try Wires()
    wires.sender.send("twelve bytes")
    #expect(wires.move() == .empty)
    wires.receiver.receive()
    #expect(wires.receiver.text == "twelve bytes")
    #expect(wires.flow.total == 12)
    #expect(!wires.flow.isOver)
    #expect(try wires.poolIsClean())
  }

  @Test func aReadThatLeavesRoomIsTheLastUnlessMoreIsToBeExpected() throws {
    let wires = try Wires()
    wires.sender.send("all")
    wires.sender.finish()
    #expect(wires.move() == .empty)
    wires.flow.expectEnd()
    #expect(wires.move() == .ended)
    let other = try Wires()
    other.sender.send("all")
    other.sender.finish()
    other.flow.expectEnd()
    #expect(other.move() == .ended)
    other.receiver.receive()
    #expect(other.receiver.text == "all")
  }

  @Test func onlyBulkGoesThroughAPipe() throws {
    let zeros = try FileDescriptor.open("/dev/zero", O_RDONLY)
    let null = try FileDescriptor.open("/dev/null", O_WRONLY)
    let wires = try Wires()
    wires.sender.send(noise(Limits.buffer - 1, seed: 4))
    _ = wires.flow.move(from: wires.source.raw, to: null.raw, wires.pool)
    #expect(!wires.flow.carriesBulk)
    #expect(wires.flow.move(from: zeros.raw, to: null.raw, wires.pool) == .busy)
    #expect(wires.flow.carriesBulk)
  }

  @Test func aTargetThatTakesAPartIsFullUntilItTakesTheRest() throws {
    let wires = try Wires()
    let bytes = noise(9000, seed: 5)
    wires.sender.send(bytes)
    #expect(
      eventually {
        wires.sender.write()
        return wires.move() == .full
      })
    #expect(wires.flow.isFull)
    #expect(
      eventually {
        wires.receiver.receive(atMost: 1000)
        wires.sender.write()
        _ = wires.move()
        return wires.receiver.received.count == bytes.count
      })
    wires.receiver.expectReceived(bytes)
    #expect(!wires.flow.isFull)
  }

  @Test func theEndComesAfterAllBytesAndOnce() throws {
    let wires = try Wires()
    let bytes = noise(60_000, seed: 1)
    wires.sender.send(bytes)
    wires.sender.finish()
    var steps: [Flow.Step] = []
    #expect(
      eventually {
        wires.sender.write()
        let step = wires.move()
        if ![.empty, .full, .busy].contains(step) { steps.append(step) }
        wires.receiver.receive()
        return !steps.isEmpty
      })
    #expect(steps == [.ended])
    #expect(wires.flow.isOver)
    #expect(wires.flow.total == bytes.count)
    wires.receiver.expectReceived(bytes)
    #expect(wires.move() == .empty)
    #expect(try wires.poolIsClean())
  }

  @Test func aFullTargetBlocksAndItsBytesAreNotGivenToAnother() throws {
    let wires = try Wires()
    wires.sender.send(noise(300_000, seed: 2))
    #expect(
      eventually {
        wires.sender.write()
        let before = wires.flow.total
        return wires.move() == .full && before == wires.flow.total && !wires.sender.isSent
      })
    wires.flow.drop(wires.pool)
    #expect(try wires.poolIsClean())
  }

  @Test func aTargetThatReadsNoMoreIsDeaf() throws {
    let wires = try Wires()
    wires.receiver.deafen()
    wires.sender.send("lost")
    #expect(wires.move() == .deaf)
    #expect(wires.flow.isOver)
    #expect(wires.flow.total == 0)
    #expect(try wires.poolIsClean())
  }

  @Test func aSourceThatIsResetIsBroken() throws {
    let pair = try Wire.tcp.pair()
    let sender = try End(pair.right)
    let wires = try Wires()
    sender.reset()
    var flow = Flow()
    var step = Flow.Step.empty
    let source = pair.left
    let target = try FileDescriptor.streamPair()
    #expect(
      eventually {
        step = flow.move(from: source.raw, to: target.left.raw, wires.pool)
        return step != .empty
      })
    #expect(step == .broken)
    #expect(flow.isOver)
  }

  @Test func aTurnIsBounded() throws {
    // A source that never ends and a target that is never full.
    let zeros = try FileDescriptor.open("/dev/zero", O_RDONLY)
    let null = try FileDescriptor.open("/dev/null", O_WRONLY)
    var flow = Flow()
    #expect(flow.move(from: zeros.raw, to: null.raw, PipePool()) == .busy)
    #expect(flow.total > 0)
    #expect(!flow.isOver)
  }

  @Test func withoutDescriptorsBytesAndTheEndAreMovedAllTheSame() async {
    await #expect(processExitsWith: .success) {
      let wires = try Wires()
      _ = NoDescriptors()
      let bytes = noise(300_000, seed: 3)
      wires.sender.send(bytes)
      wires.sender.finish()
      // Until nothing goes on any more: the target is full, with bytes on their way.
      var step = Flow.Step.busy
      for _ in 0..<100 {
        wires.sender.write()
        step = wires.move()
      }
      #expect(step == .full)
      #expect(!wires.sender.isSent)
      let hasEnded = eventually {
        wires.sender.write()
        wires.receiver.receive(atMost: 10_007)
        return wires.move() == .ended
      }
      #expect(hasEnded)
      for _ in 0..<100 { wires.receiver.receive() }
      wires.receiver.expectReceived(bytes)
      #expect(wires.flow.total == bytes.count)
    }
  }

  @Test func withoutDescriptorsATargetThatReadsNoMoreIsDeaf() async {
    await #expect(processExitsWith: .success) {
      let wires = try Wires()
      _ = NoDescriptors()
      wires.receiver.deafen()
      wires.sender.send("lost")
      #expect(wires.move() == .deaf)
      #expect(wires.flow.isOver)
      #expect(wires.flow.total == 0)
    }
  }
}

@Suite struct PipePoolTests {
  @Test func aPipeThatWasGivenBackIsBorrowedAgain() throws {
    let pool = PipePool()
    let loan = try #require(pool.borrow())
    pool.giveBack(loan)
    #expect(pool.borrow() === loan)
    #expect(pool.borrow() !== loan)
  }

  @Test func noPipeIsLentTwice() throws {
    let pool = PipePool()
    let loans = try (0..<20).map { _ in try #require(pool.borrow()) }
    #expect(Set(loans.map(\.reader)).count == 20)
    for loan in loans { pool.giveBack(loan) }
    let again = try (0..<20).map { _ in try #require(pool.borrow()) }
    #expect(Set(again.map(ObjectIdentifier.init)).count == 20)
  }

  @Test func onlyAFewAreKept() throws {
    final class Seen { weak var loan: PipePool.Loan? }
    let pool = PipePool()
    let seen = (0..<20).map { _ in Seen() }
    do {
      let loans = try seen.map { _ in try #require(pool.borrow()) }
      for (index, loan) in loans.enumerated() {
        seen[index].loan = loan
        pool.giveBack(loan)
      }
    }
    #expect(seen.count { $0.loan != nil } == 8)
  }

  @Test func withoutDescriptorsThereIsNoPipe() async {
    await #expect(processExitsWith: .success) {
      let pool = PipePool()
      let kept = try #require(pool.borrow())
      _ = NoDescriptors()
      #expect(pool.borrow() == nil)
      pool.giveBack(kept)
      #expect(pool.borrow() === kept)
    }
  }
}
