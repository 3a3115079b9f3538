// Whether ssh still works, asked over its control socket.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct ControlMasterTests: MasterSuite {
  private final class Told { var answers: [Bool] = [] }

  let rig: MasterRig
  private let told = Told()

  init() throws { rig = try MasterRig() }

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

  @Test func anSshThatCannotBeAskedForWantOfADescriptorIsAskedAgain() async {
    await #expect(processExitsWith: .success) {
      let tests = try ControlMasterTests()
      let descriptors = NoDescriptors()
      tests.check()
      for _ in 0..<10 { try tests.loop.turn(milliseconds: 10) }
      #expect(tests.told.answers == [])
      descriptors.giveBack()
      #expect(try tests.answers(1))
      #expect(tests.told.answers == [true])
    }
  }
}
