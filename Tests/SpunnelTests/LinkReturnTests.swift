// How the connection to one node comes back after it was lost.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct LinkReturnTests: LinkSuite {
  let rig: LinkRig

  init() throws { rig = try LinkRig() }

  @Test func whatIsLostComesBackWithAllThatItCarried() throws {
    let routes = try routes("8001:auto,R:9000:53")
    add(routes)
    #expect(try turn { told.ready == 1 })
    let first = try #require(ssh.masters[0])
    ssh.kill(link.process)
    #expect(try turn { notes.losses == 1 })
    #expect(!link.isUp)
    #expect(try turn { link.isUp })
    let second = try #require(ssh.masters[0])
    #expect(first !== second)
    // The port that was chosen stays, and nobody is probed again.
    #expect(
      second.requests == [
        .local(path: second.socketPath(2), to: "localhost:8001"),
        .remote(at: "localhost:9000", to: "localhost:53"),
      ])
    try expectEcho(routes[0])
    #expect(told.ready == 1 && notes.ups == 2)
    stop()
  }

  @Test func aRemoteForwardThatIsNotTakenBackIsAskedForAgainAndHoldsUpNoOther() throws {
    let routes = try routes("8001:8000,R:9000:53")
    add(routes)
    #expect(try turn { told.ready == 1 })
    ssh.prepare = { $0.remoteAnswer = .refuse }
    let first = try #require(ssh.masters[0])
    ssh.kill(link.process)
    #expect(try turn { ssh.masters[0] !== first && link.isUp })
    try expectEcho(routes[0])
    ssh.masters[0]?.remoteAnswer = .agree
    let asked = ssh.orders().count
    #expect(try turn { ssh.orders().count > asked })
    #expect(ssh.started == ["n1", "n1"])
    stop()
  }

  @Test func pausesGrowUntilSomebodyWaits() throws {
    let routes = try routes("8001:8000")
    add(routes)
    #expect(try turn { told.ready == 1 })
    try ssh.refuse("ssh: connect to host n1 port 22: Connection refused")
    ssh.kill(link.process)
    // 0.1, 0.2, 0.4, 0.8, 1.6 s; the next would be 3.2.
    #expect(try turn { ssh.started.count == 6 && link.process == nil })
    #expect(try link.connect(routes[0]) == nil)
    notes.isAwaited = true
    // Timers come in their order, however slow the machine is.
    var attempts: Int?
    loop.after(milliseconds: 2900) { [notes, link] in
      attempts = notes.ends + (link.process == nil ? 0 : 1)
    }
    let before = notes.ends
    #expect(try turn { attempts != nil })
    #expect(try #require(attempts) >= before + 2)
    try ssh.refuse(nil)
    #expect(try turn { link.isUp })
    try expectEcho(routes[0])
    stop()
  }

  /// Milliseconds between the ends of one ssh and the starts of the next, of so many attempts.
  private func pausesTaken(_ count: Int) throws -> [Int] {
    var pauses: [Int] = []
    var ended: Int?
    var (starts, ends) = (ssh.started.count, notes.ends)
    #expect(
      try turn {
        let now = Clock.milliseconds()
        if ssh.started.count > starts, let since = ended { pauses.append(now - since) }
        if notes.ends > ends { ended = now }
        (starts, ends) = (ssh.started.count, notes.ends)
        return pauses.count == count
      })
    return pauses
  }

  @Test func thePausesBeforeItReturnGrow() throws {
    link.attempts.backoff = Backoff(first: 40, longest: 320, stable: 200)
    add(try routes("8001:8000"))
    #expect(try turn { told.ready == 1 })
    try ssh.refuse("Connection refused")
    ssh.kill(link.process)
    let taken = try pausesTaken(6)
    // A start is seen a while after it was made: each pause is at least what it should be.
    for (pause, least) in zip(taken, [40, 80, 160, 320, 320, 320]) {
      #expect(pause >= least, "\(taken)")
    }
    stop()
  }

  @Test func theUsualPausesGrowFromATenthOfASecondToHalfAMinute() {
    var backoff = Backoff()
    let taken = (0..<11).map { _ in backoff.take() }
    #expect(taken == [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
    backoff.lost(after: 30_000)
    #expect(backoff.take() == 30_000)
    backoff.lost(after: 30_001)
    #expect(backoff.take() == 100)
  }

  @Test func anIdleLinkThatIsLostStaysAway() throws {
    let routes = try routes("8001:8000")
    add(routes)
    #expect(try turn { told.ready == 1 })
    link.remove(routes[0])
    ssh.kill(link.process)
    #expect(try turn { link.process == nil })
    let end = Clock.milliseconds() + 250
    #expect(try turn { Clock.milliseconds() > end })
    #expect(ssh.started == ["n1"])
    add(routes)
    #expect(try turn { told.ready == 2 })
    stop()
  }
}
