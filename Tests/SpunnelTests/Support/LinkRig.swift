// A link whose ssh is a fake, and what it tells.

import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

final class LinkNotes: LinkObserver {
  func linkIsOwn(_ end: Endpoint) -> Bool { false }

  fileprivate var record: Record?
  /// The log.
  var lines: [String] { record.map(logged) ?? [] }
  var ups = 0
  var losses = 0
  var missed = 0
  var isAwaited = false
  /// How often ssh ended.
  var ends: Int { lines.count { $0.contains(" ended: ") } }

  func linkIsUp(_ link: Link) { ups += 1 }
  func linkIsLost(_ link: Link) { losses += 1 }
  func linkMissesJob(_ link: Link) { missed += 1 }
  func linkIsAwaited(_ link: Link) -> Bool { isAwaited }
}

/// What stands in a record's log, without the times.
func logged(_ record: Record) -> [String] {
  guard let bytes = try? record.directory.read("log", atMost: 1 << 20) else { return [] }
  return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { LogLine($0).text }
}

/// What became of the forwards that it was asked for.
final class ToldOutcomes {
  var ready = 0
  var reasons: [String] = []

  func take(_ outcome: Cargo.Outcome) {
    switch outcome {
    case .ready: ready += 1
    case .failed(let reason): reasons.append(reason)
    }
  }
}

struct LinkRig {
  let loop: EventLoop
  let ssh: FakeSSH
  let endings: Endings
  let link: Link
  let notes = LinkNotes()
  let told = ToldOutcomes()

  init() throws {
    loop = try EventLoop()
    ssh = try FakeSSH()
    endings = Endings(loop)
    notes.record = ssh.record
    link = Link(loop, try node(), number: 0, ssh.record, ssh.settings, endings, observer: notes)
  }
}

/// Tests that hold such a link.
protocol LinkSuite {
  var rig: LinkRig { get }
}

extension LinkSuite {
  var loop: EventLoop { rig.loop }
  var ssh: FakeSSH { rig.ssh }
  var link: Link { rig.link }
  var notes: LinkNotes { rig.notes }
  var told: ToldOutcomes { rig.told }

  func add(_ routes: [Route], patience: Int? = 30_000) {
    link.add(routes, patience: patience) { [told] in told.take($0) }
  }

  func turn(until condition: () throws -> Bool) throws -> Bool {
    try loop.turn {
      try work()
      return try condition()
    }
  }

  func work() throws {
    rig.endings.advance()
    link.reap()
    link.look()
    try ssh.work()
  }

  /// Ends the link and waits for its ssh: an unreaped child would keep exit tests from theirs.
  func stop() {
    link.stop()
    rig.endings.finish()
  }

  func local(_ number: Int, _ exec: UInt16) throws -> FakeMaster.Request {
    .local(path: try #require(ssh.masters[0]).socketPath(number), to: "localhost:\(exec)")
  }

  /// Expects that a connection is taken and echoed.
  func expectEcho(_ route: Route, at location: SourceLocation = #_sourceLocation) throws {
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
}
