// The connection to one node: an ssh that comes with all that it carries, and goes.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct LinkTests: LinkSuite {
  let rig: LinkRig

  init() throws { rig = try LinkRig() }

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
    #expect(link.takeRefusal() == nil)
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
    #expect(link.takeRefusal() == .unreached)
    for _ in 2...5 { #expect(link.takeRefusal() == .refused) }
    #expect(link.takeRefusal() == nil)
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

  @Test func aHostKeyThatIsUnknownIsAFailureAtOnce() throws {
    try ssh.refuse("Host key verification failed.")
    add(try routes("8001:8000"))
    #expect(try turn { told.reasons.count == 1 })
    #expect(told.reasons[0].hasPrefix("n1: Host key verification failed"))
    #expect(ssh.started == ["n1"])
    #expect(notes.ups == 0 && notes.losses == 0 && link.isIdle)
  }

  private func isCut(mayBeRefusal: Bool) throws -> Bool? {
    var answer: Bool?
    link.askIfCut(ServiceEnd(isClosed: true, mayBeRefusal: mayBeRefusal)) { answer = $0 }
    #expect(try turn { answer != nil })
    return answer
  }

  @Test func aConnectionThatTheFarEndHasRefusedIsNoEmptyAnswer() throws {
    ssh.prepare = { $0.emptyAnswer = .agree }
    add(try routes("8001:8000"))
    #expect(try turn { told.ready == 1 })
    try loop.settle(work)
    #expect(try isCut(mayBeRefusal: true) == false)
    let line = "channel 2: open failed: connect failed: Too many open files"
    try ssh.say(line)
    #expect(try turn { notes.lines.contains("ssh: \(line)") })
    #expect(try isCut(mayBeRefusal: false) == false)
    #expect(try isCut(mayBeRefusal: true) == true)
    #expect(link.takeRefusal() == .unreached && link.takeRefusal() == nil)
    // Another's, for all that is known.
    #expect(try isCut(mayBeRefusal: true) == true)
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
