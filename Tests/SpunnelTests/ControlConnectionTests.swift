// Requests to ssh and its answers, against a master that speaks the real protocol.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct ControlConnectionTests {
  private final class Replies {
    var all: [MultiplexReply?] = []
  }

  private let loop: EventLoop
  private let scratch: Scratch
  private let master: FakeMaster
  private let replies = Replies()
  private let port: Port

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    master = try FakeMaster(scratch)
    port = try #require(Port(8000))
  }

  private func turn(until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      try master.work()
      return condition()
    }
  }

  private func connect() throws -> ControlConnection {
    try ControlConnection(loop, master: try master.handle())
  }

  private func askForward(_ control: ControlConnection, _ names: String...) throws {
    let service = Service(host: .localhost, end: .port(port))
    let requests = names.map {
      MultiplexRequest.open(.local(path: "\(scratch.path)/\($0)", to: service))
    }
    try control.ask(requests) { [replies] in replies.all.append($0) }
  }

  private func askProbe(_ control: ControlConnection) throws {
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    let request = MultiplexRequest.connect(Service(host: .localhost, end: .port(port)))
    try control.ask([request], descriptors: [null.raw, null.raw]) { [replies] in
      replies.all.append($0)
    }
  }

  @Test func requestsGoOutTogetherAndAreAnsweredInOrder() throws {
    try askForward(try connect(), "a", "b", "c")
    #expect(try turn { replies.all == [.done, .done, .done] })
    #expect(master.sessions.count == 1)
    #expect(
      master.requests
        == ["a", "b", "c"].map {
          .local(path: "\(scratch.path)/\($0)", to: "localhost:8000")
        })
  }

  @Test func aProbeBringsItsDescriptors() throws {
    try askProbe(try connect())
    #expect(try turn { replies.all == [.opened] })
    #expect(master.requests == [.probe("localhost:8000")])
    let (null, got) = (try kind("/dev/null"), try master.sessions[0].descriptors.map(kind))
    #expect(got == [null, null])
  }

  private func kind(_ path: String) throws -> dev_t {
    try kind(FileDescriptorBox(try FileDescriptor.open(path, O_RDWR)))
  }

  private func kind(_ descriptor: FileDescriptorBox) throws -> dev_t {
    var found = stat()
    #expect(unsafe fstat(descriptor.raw, &found) == 0)
    return found.st_rdev
  }

  @Test func aFailureIsTold() throws {
    (master.localAnswer, master.probeAnswer) = (.refuse, .refuse)
    try askForward(try connect(), "a")
    try askProbe(try connect())
    #expect(try turn { replies.all == [.failed("no"), .failed("no")] })
  }

  @Test func aMasterThatGoesBeforeItAnsweredIsToldOnce() throws {
    master.localAnswer = .none
    let control = try connect()
    try askForward(control, "a")
    #expect(try turn { !master.requests.isEmpty })
    #expect(replies.all == [])
    master.die()
    #expect(try turn { replies.all == [nil] })
    control.abandon()
    try loop.settle()
    #expect(replies.all == [nil])
  }

  @Test func anAbandonedRequestIsHeldUntilItIsAnswered() throws {
    master.probeAnswer = .none
    let control = try connect()
    try askProbe(control)
    #expect(try turn { !master.requests.isEmpty })
    control.abandon()
    try loop.settle(master.work)
    #expect(master.sessions[0].isHeld)
    master.reply(.agree, to: master.sessions[0])
    #expect(try turn { !master.sessions[0].isHeld })
    #expect(replies.all == [])
  }

  @Test(arguments: [FakeMaster.Answer.agree, .refuse])
  func anAbandonedRequestIsHeldEvenWhenNobodyElseHoldsIt(answer: FakeMaster.Answer) throws {
    master.probeAnswer = .none
    do {
      let control = try connect()
      try askProbe(control)
      control.abandon()
    }
    #expect(try turn { !master.requests.isEmpty })
    try loop.settle(master.work)
    #expect(master.sessions[0].isHeld)
    master.reply(answer, to: master.sessions[0])
    #expect(try turn { !master.sessions[0].isHeld })
    #expect(replies.all == [])
  }

  @Test func severalAbandonedRequestsAreHeldUntilTheLastAnswer() throws {
    master.localAnswer = .none
    let control = try connect()
    try askForward(control, "a", "b")
    #expect(try turn { master.requests.count == 2 })
    control.abandon()
    master.reply(.agree, to: master.sessions[0])
    try loop.settle(master.work)
    #expect(master.sessions[0].isHeld)
    master.reply(.refuse, to: master.sessions[0])
    #expect(try turn { !master.sessions[0].isHeld })
  }

  @Test func anAbandonedMasterThatGoesIsNoNews() throws {
    master.probeAnswer = .hangUp
    let control = try connect()
    try askProbe(control)
    control.abandon()
    #expect(try turn { !master.requests.isEmpty })
    try loop.settle(master.work)
    #expect(replies.all == [])
  }

  @Test func anAnsweredConnectionIsLetGoAtOnce() throws {
    let control = try connect()
    try askForward(control, "a")
    #expect(try turn { replies.all == [.done] })
    #expect(master.sessions[0].isHeld)
    control.abandon()
    #expect(eventually { !master.sessions[0].isHeld })
  }

  @Test func anAnsweredConnectionTellsTheEndOfSsh() throws {
    try askForward(try connect(), "a")
    #expect(try turn { replies.all == [.done] })
    master.die()
    #expect(try turn { replies.all == [.done, nil] })
  }

  @Test func nonsenseIsTheEnd() throws {
    master.localAnswer = .none
    try askForward(try connect(), "a")
    #expect(try turn { !master.requests.isEmpty })
    master.sessions[0].say(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
    #expect(try turn { replies.all == [nil] })
    #expect(eventually { !master.sessions[0].isHeld })
  }

  @Test func anotherMessageChangesNothing() throws {
    master.localAnswer = .none
    let control = try connect()
    try askForward(control, "a")
    #expect(try turn { !master.requests.isEmpty })
    master.sessions[0].say([0, 0, 0, 8, 0x80, 0, 0, 8, 0, 0, 0, 2])
    control.abandon()
    try loop.settle(master.work)
    #expect(master.sessions[0].isHeld)
    master.reply(.agree, to: master.sessions[0])
    #expect(try turn { !master.sessions[0].isHeld })
  }

  @Test func withoutAMasterThereIsNoConnection() throws {
    let handle = try master.handle()
    master.die()
    #expect(
      eventually {
        do throws(SystemError) { _ = try ControlConnection(loop, master: handle) } catch {
          return error.code == ECONNREFUSED
        }
        return false
      })
  }
}
