// Whether ssh still works, asked over its control socket.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

@Suite struct MasterTests {
  private final class Told { var answers: [Bool] = [] }

  private let loop: EventLoop
  private let scratch: Scratch
  private let fake: FakeMaster
  private let master: Master
  private let told = Told()

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    fake = try FakeMaster(scratch)
    master = try Master(fake.record, link: 0)
  }

  private func check() { master.check(loop) { [told] in told.answers.append($0) } }

  private func answers(_ count: Int) throws -> Bool {
    try loop.turn {
      try fake.work()
      return told.answers.count == count
    }
  }

  @Test func anSshThatWorksAnswers() throws {
    check()
    #expect(try answers(1))
    #expect(told.answers == [true])
  }

  @Test func allWhoAskInATurnAreToldByOneAnswer() throws {
    for _ in 0..<50 { check() }
    #expect(try answers(50))
    #expect(told.answers.allSatisfy { $0 })
    #expect(fake.sessions.count == 1)
  }

  @Test func anSshThatIsGoneGivesNone() throws {
    fake.die()
    check()
    #expect(try answers(1))
    #expect(told.answers == [false])
  }

  @Test func anSshThatEndsWithoutAWordGivesNone() throws {
    check()
    try loop.turn(milliseconds: 100)
    fake.die()
    #expect(try answers(1))
    #expect(told.answers == [false])
  }
}
