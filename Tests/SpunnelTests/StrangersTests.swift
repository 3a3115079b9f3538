// What the log is told of strangers, however many come and however often.

import Testing

@testable import SpunnelKeeper

@Suite struct StrangersTests {
  @Test func theSameIsToldOnceAMinuteWithHowOftenItWas() {
    var strangers = Strangers()
    #expect(strangers.note("refused uid 7 on port 1", at: 0) == ["refused uid 7 on port 1"])
    for time in 1...5 { #expect(strangers.note("refused uid 7 on port 1", at: time) == []) }
    #expect(strangers.note("refused uid 8 on port 1", at: 6) == ["refused uid 8 on port 1"])
    #expect(
      strangers.note("refused uid 7 on port 1", at: 60_000)
        == ["refused uid 7 on port 1, 5 times more", "refused uid 7 on port 1"])
  }

  @Test func ofManyDifferentOnesTheFirstAreToldAndTheOthersAreCounted() {
    var strangers = Strangers()
    var lines: [String] = []
    for round in 0..<10 {
      for port in 1...100 { lines += strangers.note("refused uid 7 on port \(port)", at: round) }
    }
    #expect(lines.count == Limits.refusals)
    let later = strangers.note("refused uid 7 on port 1", at: 60_000)
    #expect(later.count == Limits.refusals + 2)
    #expect(later.dropLast().last == "refused \((100 - Limits.refusals) * 10) others")
  }
}
