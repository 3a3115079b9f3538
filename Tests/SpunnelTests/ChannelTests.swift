// One connection through ssh, against a master that speaks the real protocol.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel

/// An open channel with this side's ends of its pipes.
private final class OpenChannel {
  let channel: Channel
  private(set) var events: [Channel.Event] = []
  let outward: End
  let inward: End

  init(_ loop: EventLoop, _ path: String, _ port: UInt16 = 8000) throws {
    channel = try Channel(loop, controlPath: path)
    var tell: (Channel.Event) -> Void = { _ in }
    let notify: (Channel.Event) -> Void = { tell($0) }
    let port = try #require(Port(port))
    let pipes = try channel.open(host: "localhost", port: port, notify: notify)
    outward = try End(try duplicate(pipes.outward.raw))
    inward = try End(try duplicate(pipes.inward.raw))
    tell = { [weak self] in self?.events.append($0) }
  }
}

@Suite struct ChannelTests {
  private let loop: EventLoop
  private let scratch: Scratch
  private let master: FakeMaster

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    master = try FakeMaster(scratch)
  }

  private func turn(until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      try master.work()
      return condition()
    }
  }

  @Test func hostAndPortArriveAndTheAnswerIsTold() throws {
    let open = try OpenChannel(loop, master.path, 65535)
    #expect(try turn { open.events == [.opened] })
    #expect(master.sessions.map(\.host) == ["localhost"])
    #expect(master.sessions.map(\.port) == [65535])
  }

  @Test func bytesGoThroughTheTwoPipes() throws {
    let open = try OpenChannel(loop, master.path)
    open.outward.send("there and back")
    #expect(
      try turn {
        open.inward.receive()
        return open.inward.text == "there and back"
      })
    open.outward.finish()
    #expect(
      try turn {
        open.inward.receive()
        return open.inward.sawEnd
      })
    #expect(try turn { open.events == [.opened, .closed] })
  }

  @Test func aRefusalIsTold() throws {
    master.answer = .refuse
    let open = try OpenChannel(loop, master.path)
    #expect(try turn { open.events == [.refused] })
    open.channel.abandon()
    #expect(try turn { !master.sessions[0].isHeld })
    #expect(open.events == [.refused])
  }

  @Test func aMasterThatGoesBeforeItAnsweredIsTold() throws {
    master.answer = .none
    let open = try OpenChannel(loop, master.path)
    #expect(try turn { !master.sessions.isEmpty })
    #expect(open.events == [])
    master.die()
    #expect(try turn { open.events == [.closed] })
  }

  @Test func aMasterThatGoesBeforeItTookTheDescriptorsLeavesNoneOpen() throws {
    let open = try OpenChannel(loop, master.path)
    master.die()
    #expect(
      try turn {
        open.inward.receive()
        return open.inward.sawEnd
      })
    open.outward.send("x")
    #expect(open.outward.failure == EPIPE)
    #expect(try turn { open.events == [.closed] })
  }

  @Test func anAbandonedChannelIsHeldUntilItIsAnswered() throws {
    master.answer = .none
    let open = try OpenChannel(loop, master.path)
    #expect(try turn { !master.sessions.isEmpty })
    open.channel.abandon()
    try loop.settle(master.work)
    #expect(master.sessions[0].isHeld)
    master.reply(.open, to: master.sessions[0])
    #expect(try turn { !master.sessions[0].isHeld })
    #expect(open.events == [])
  }

  @Test func anAbandonedChannelIsHeldEvenWhenNobodyElseHoldsIt() throws {
    master.answer = .none
    do {
      let open = try OpenChannel(loop, master.path)
      open.channel.abandon()
    }
    #expect(try turn { !master.sessions.isEmpty })
    try loop.settle(master.work)
    #expect(master.sessions[0].isHeld)
    master.reply(.refuse, to: master.sessions[0])
    #expect(try turn { !master.sessions[0].isHeld })
  }

  @Test func anAnsweredChannelIsLetGoAtOnce() throws {
    let open = try OpenChannel(loop, master.path)
    #expect(try turn { open.events == [.opened] })
    #expect(master.sessions[0].isHeld)
    open.channel.abandon()
    #expect(!master.sessions[0].isHeld)
  }

  @Test func nonsenseOnTheControlSocketIsTheEnd() throws {
    master.answer = .none
    let open = try OpenChannel(loop, master.path)
    #expect(try turn { !master.sessions.isEmpty })
    master.sessions[0].say(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
    #expect(try turn { open.events == [.closed] })
    #expect(!master.sessions[0].isHeld)
  }

  @Test func anotherMessageChangesNothing() throws {
    master.answer = .none
    let open = try OpenChannel(loop, master.path)
    #expect(try turn { !master.sessions.isEmpty })
    master.sessions[0].say([0, 0, 0, 8, 0x80, 0, 0, 8, 0, 0, 0, 2])
    try loop.settle(master.work)
    #expect(open.events == [])
    master.reply(.open, to: master.sessions[0])
    #expect(try turn { open.events == [.opened] })
  }

  @Test func withoutAMasterThereIsNoChannel() throws {
    let path = master.path
    master.die()
    #expect(throws: SystemError("connect \(path)", ENOENT)) {
      try Channel(loop, controlPath: path)
    }
    let long = "/" + String(repeating: "x", count: 107)
    #expect(throws: SystemError("connect \(long)", ENAMETOOLONG)) {
      try Channel(loop, controlPath: long)
    }
  }
}
