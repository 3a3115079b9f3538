// The connection to one node: an ssh that comes, goes and comes back, with all that it carries.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

@Suite struct LinkTests {
  private final class Notes: LinkObserver {
    var lines: [String] = []
    var ups = 0
    var losses = 0
    var missed = 0
    /// How often ssh ended.
    var ends: Int { lines.count { $0.contains(" ended: ") } }
    func linkNotes(_ line: String) { lines.append(line) }
    func linkIsUp(_ link: Link) { ups += 1 }
    func linkIsLost(_ link: Link) { losses += 1 }
    func linkMissesJob(_ link: Link) { missed += 1 }
    var isAwaited = false
    func linkIsAwaited(_ link: Link) -> Bool { isAwaited }
  }

  private final class Told {
    var ready = 0
    var reasons: [String] = []
    func take(_ outcome: Cargo.Outcome) {
      switch outcome {
      case .ready: ready += 1
      case .failed(let reason): reasons.append(reason)
      }
    }
  }

  private let loop: EventLoop
  private let ssh: FakeSSH
  private let endings: Endings
  private let link: Link
  private let notes = Notes()
  private let told = Told()

  init() throws {
    loop = try EventLoop()
    ssh = try FakeSSH()
    endings = Endings(loop)
    link = Link(loop, try node(), number: 0, ssh.record, ssh.settings, endings, observer: notes)
  }

  private func add(_ routes: [Route], patience: Int? = 30_000) {
    link.add(routes, patience: patience) { [told] in told.take($0) }
  }

  private func turn(until condition: () throws -> Bool) throws -> Bool {
    try loop.turn {
      try work()
      return try condition()
    }
  }

  private func work() throws {
    endings.advance()
    link.reap()
    link.look()
    try ssh.work()
  }

  /// Ends the link and waits for its ssh: an unreaped child would keep exit tests from theirs.
  private func stop() {
    link.stop()
    endings.finish()
  }

  private func local(_ number: Int, _ exec: UInt16) throws -> FakeMaster.Request {
    .local(path: try #require(ssh.masters[0]).socketPath(number), to: "localhost:\(exec)")
  }

  /// Expects that a connection is taken and echoed.
  private func expectEcho(_ route: Route, at location: SourceLocation = #_sourceLocation) throws {
    guard let service = try link.connect(route) else {
      Issue.record("no way", sourceLocation: location)
      return
    }
    let client = try End(service)
    client.send("echo")
    #expect(
      try turn {
        client.receive()
        return client.text == "echo"
      }, sourceLocation: location)
  }

  @Test func whatIsAddedBringsSshUpAndIsReady() throws {
    let routes = try routes("8001:8000,8002:8888")
    add(routes)
    #expect(!link.isUp && told.ready == 0)
    #expect(try turn { told.ready == 1 })
    #expect(link.isUp && !link.isIdle)
    #expect(notes.ups == 1 && notes.losses == 0)
    #expect(ssh.orders() == [try local(1, 8000), try local(2, 8888)])
    for route in routes { try expectEcho(route) }
    stop()
  }

  @Test func moreGoesOverTheSameSsh() throws {
    add(try routes("8001:8000"))
    #expect(try turn { told.ready == 1 })
    let process = link.process
    add(try routes("8002:8888"))
    add(try routes("R:9000:53"))
    #expect(try turn { told.ready == 3 })
    #expect(link.process == process && ssh.started == ["n1"])
    #expect(
      ssh.orders() == [
        try local(1, 8000), try local(2, 8888), .remote(at: "localhost:9000", to: "localhost:53"),
      ])
    stop()
  }

  @Test func aRefusalThatTheStartAskedForIsNobodys() throws {
    add(try routes("8001:8000"))
    #expect(try turn { told.ready == 1 && link.lastRefusal != nil })
    #expect(!link.takeRefusal())
    #expect(!notes.lines.contains { $0.contains("open failed") })
    stop()
  }

  @Test func theSameRefusalIsNotedOnce() throws {
    ssh.prepare = { $0.emptyAnswer = .agree }
    add(try routes("8001:8000"))
    #expect(try turn { told.ready == 1 })
    try loop.settle(work)
    for channel in 2...5 {
      try ssh.say("channel \(channel): open failed: connect failed: Connection refused")
    }
    try ssh.say("channel 6: open failed: connect failed: No route to host")
    #expect(try turn { notes.lines.contains { $0.hasSuffix("No route to host") } })
    #expect(notes.lines.filter { $0.hasSuffix("Connection refused") }.count == 1)
    // Each of them is some connection's.
    for _ in 2...6 { #expect(link.takeRefusal()) }
    #expect(!link.takeRefusal())
    stop()
  }

  @Test func aServiceThatTwoForwardsShareGoesWithTheLast() throws {
    let routes = try routes("8001:8000,8002:8000")
    add(routes)
    #expect(try turn { told.ready == 1 })
    #expect(ssh.orders() == [try local(1, 8000)])
    link.remove(routes[0])
    try loop.settle(work)
    try expectEcho(routes[1])
    #expect(ssh.orders().count == 1)
    link.remove(routes[1])
    #expect(try turn { ssh.orders() == [try local(1, 8000), .close(try local(1, 8000))] })
    #expect(unsafe access(try #require(ssh.masters[0]).socketPath(1), F_OK) != 0)
    #expect(link.isIdle && link.isUp)
    stop()
  }

  @Test func aServiceStaysForWhoeverIsAboutToHaveIt() throws {
    let (first, second) = (try routes("8001:8000"), try routes("8002:8000,R:9000:53"))
    add(first)
    #expect(try turn { told.ready == 1 })
    let master = try #require(ssh.masters[0])
    master.remoteAnswer = .none
    add(second)
    #expect(try turn { master.orders.count == 2 })
    link.remove(first[0])
    for session in master.sessions {
      if case .remote? = session.requests.last { master.carryOutLate(session) }
    }
    #expect(try turn { told.ready == 2 })
    try expectEcho(second[0])
    stop()
  }

  @Test func whatComesTooLateIsGivenUp() throws {
    ssh.prepare = { $0.remoteAnswer = .none }
    let first = try routes("8001:/s")
    add(first)
    #expect(try turn { told.ready == 1 })
    let late = try routes("R:9000:53")
    add(late, patience: 50)
    #expect(try turn { told.reasons.count == 1 && ssh.orders().count == 2 })
    link.remove(late[0])
    #expect(try turn { ssh.orders().count == 3 })
    let master = try #require(ssh.masters[0])
    let asked = master.sessions.first { session in
      if case .remote? = session.requests.last { true } else { false }
    }
    master.carryOutLate(try #require(asked))
    #expect(master.remotes.count == 1)
    #expect(try turn { master.remotes == [] })
    link.remove(first[0])
    #expect(link.isIdle)
    stop()
  }

  @Test func aRemoteForwardIsClosedWhenItIsGivenUp() throws {
    let routes = try routes("R:9000:5432,R:/p:/q")
    add(routes)
    #expect(try turn { told.ready == 1 })
    let master = try #require(ssh.masters[0])
    #expect(master.remotes.count == 2)
    link.remove(routes[0])
    #expect(try turn { master.remotes == [.remote(at: "/p", to: "/q")] })
    stop()
  }

  @Test func whatWasRefusedIsNotCarried() throws {
    ssh.prepare = { $0.remoteAnswer = .refuse }
    add(try routes("R:9000:5432"))
    #expect(try turn { told.reasons.count == 1 })
    #expect(told.reasons[0].hasPrefix("n1 does not listen on '9000': no: "))
    #expect(link.isIdle && link.isUp)
    add(try routes("8001:8000"))
    #expect(try turn { told.ready == 1 })
    stop()
  }

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
        .local(path: second.socketPath(2), to: "localhost:40001"),
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
    link.pauses = Pauses(first: 40, longest: 320, stable: 200)
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
    var pauses = Pauses()
    let taken = (0..<11).map { _ in pauses.take() }
    #expect(taken == [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000])
    pauses.lost(after: 30_000)
    #expect(pauses.take() == 30_000)
    pauses.lost(after: 30_001)
    #expect(pauses.take() == 100)
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

  @Test func aHostKeyThatIsUnknownIsAFailureAtOnce() throws {
    try ssh.refuse("Host key verification failed.")
    add(try routes("8001:8000"))
    #expect(try turn { told.reasons.count == 1 })
    #expect(told.reasons[0].hasPrefix("n1: Host key verification failed"))
    #expect(ssh.started == ["n1"])
    #expect(notes.ups == 0 && notes.losses == 0 && link.isIdle)
  }

  private func isCut(isEmpty: Bool) throws -> Bool? {
    var answer: Bool?
    link.askIfCut(ServiceEnd(isClosed: true, isEmpty: isEmpty)) { answer = $0 }
    #expect(try turn { answer != nil })
    return answer
  }

  @Test func aConnectionThatTheFarEndHasRefusedIsNoEmptyAnswer() throws {
    ssh.prepare = { $0.emptyAnswer = .agree }
    add(try routes("8001:8000"))
    #expect(try turn { told.ready == 1 })
    try loop.settle(work)
    #expect(try isCut(isEmpty: true) == false)
    let line = "channel 2: open failed: connect failed: Too many open files"
    try ssh.say(line)
    #expect(try turn { notes.lines.contains("ssh: \(line)") })
    #expect(try isCut(isEmpty: false) == false)
    #expect(try isCut(isEmpty: true) == true)
    #expect(link.takeRefusal())
    #expect(try isCut(isEmpty: true) == false)
    stop()
  }

  @Test func aRefusedLoginIsTriedAgainUntilItWorks() throws {
    try ssh.refuse("Access denied by pam_slurm_adopt: you have no active jobs on this node")
    add(try routes("8001:8000"))
    #expect(try turn { ssh.started.count == 2 })
    try ssh.refuse(nil)
    #expect(try turn { told.ready == 1 })
    #expect(told.reasons == [])
    stop()
  }

  @Test func whoWaitsIsToldInTimeWhatSshSaid() throws {
    try ssh.refuse("Access denied by pam_slurm_adopt: you have no active jobs on this node")
    add(try routes("8002:8000"), patience: nil)
    #expect(try turn { notes.lines.contains { $0.hasPrefix("ssh to n1 ended: Access") } })
    add(try routes("8001:8000"), patience: 100)
    #expect(try turn { told.reasons.count == 1 })
    #expect(told.reasons[0].hasPrefix("n1: Access denied by pam_slurm_adopt"))
    // The other waits on.
    #expect(!link.isIdle)
    try ssh.refuse(nil)
    #expect(try turn { told.ready == 1 })
    stop()
  }

  @Test func anSshThatHangsIsAFailureInTime() throws {
    ssh.prepare = { $0.localAnswer = .none }
    add(try routes("8001:8000"), patience: 300)
    #expect(try turn { told.reasons.count == 1 })
    #expect(told.reasons[0].hasPrefix("n1 is not reached within 5 seconds: see whether ssh n1"))
    stop()
  }

  @Test func stoppingEndsSshWithoutAWord() throws {
    add(try routes("8001:8000"))
    #expect(try turn { told.ready == 1 })
    let process = try #require(link.process)
    add(try routes("8002:8888"))
    link.stop()
    #expect(link.process == nil && !link.isUp && link.isIdle)
    #expect(try turn { kill(process, 0) != 0 })
    #expect(!ssh.record.controlExists(of: 0))
    try loop.settle(work)
    #expect((told.ready, told.reasons.count, notes.losses) == (1, 0, 0))
  }
}
