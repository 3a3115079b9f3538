// Who may be the node's end of a tunnel through srun, and what strangers cost it.

import Glibc
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSystem
@testable import SpunnelTunnel

/// One expectation, and a client to meet it.
private final class ArrivalRig {
  let loop: EventLoop
  let arrivals: Arrivals
  var notes: [String] = []
  var arrived: [FileDescriptorBox] = []
  var arrival: Arrival?
  var words: [String] = []

  final class FileDescriptorBox {
    let descriptor: FileDescriptor
    init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
  }

  init(ports: SrunPorts? = nil) throws {
    loop = try EventLoop()
    var note: (String) -> Void = { _ in }
    arrivals = Arrivals(loop, ports: ports) { note($0) }
    note = { [weak self] in self?.notes.append($0) }
  }

  func expect() throws {
    let (arrival, text) = try arrivals.expect { [weak self] in
      self?.arrived.append(FileDescriptorBox($0))
    }
    self.arrival = arrival
    words = text.split(separator: ":").map(String.init)
  }

  var port: UInt16 { UInt16(words[0]) ?? 0 }

  func connect() throws -> Client { try Client(port: port) }
}

/// A blocking TCP client.
private final class Client {
  let raw: CInt

  init(port: UInt16) throws {
    raw = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    let address = SocketAddress(.v4, port: port)
    let result = unsafe address.withPointer { unsafe Glibc.connect(raw, $0, $1) }
    if result != 0 { throw SystemError("connect", errno) }
    _ = fcntl(raw, F_SETFL, O_NONBLOCK)
  }

  deinit { _ = close(raw) }

  func send(_ text: String) throws { try Socket.send(Array(text.utf8), over: raw) }

  /// What has come; `nil`: nothing and no end either.
  func receive() -> String? {
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = unsafe recv(raw, &bytes, bytes.count, 0)
    if count < 0 { return errno == EAGAIN ? nil : "reset" }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}

@Suite struct ArrivalsTests {
  private let rig: ArrivalRig
  init() throws { rig = try ArrivalRig() }

  private func turn(until condition: () throws -> Bool) throws -> Bool {
    try rig.loop.turn { try condition() }
  }

  @Test func theOneThatKnowsTheSecretIsAnsweredAndHandedOn() throws {
    try rig.expect()
    let client = try rig.connect()
    try client.send(rig.words[1])
    #expect(try turn { !rig.arrived.isEmpty })
    #expect(client.receive() == rig.words[2])
    #expect(!rig.arrivals.isListening)
    #expect(rig.notes.isEmpty)
  }

  @Test func theSecretsAreLongAndNeverTheSame() throws {
    try rig.expect()
    let first = rig.words
    try rig.expect()
    #expect(first[1].utf8.count == 64 && first[2].utf8.count == 64)
    #expect(Set(first[1...] + rig.words[1...]).count == 4)
  }

  @Test func aSecretServesOnce() throws {
    try rig.expect()
    let (port, secret) = (rig.port, rig.words[1])
    // A second expectation keeps the port open.
    try rig.expect()
    #expect(rig.port == port)
    let client = try rig.connect()
    try client.send(secret)
    #expect(try turn { rig.arrived.count == 1 })
    let copy = try Client(port: port)
    try copy.send(secret)
    #expect(try turn { copy.receive() == "" })
    #expect(rig.arrived.count == 1)
    #expect(rig.arrivals.isListening)
  }

  @Test func aWrongSecretIsClosedAndAShortOneWaits() throws {
    try rig.expect()
    let wrong = try rig.connect()
    let short = try rig.connect()
    try short.send(String(rig.words[1].dropLast()))
    try wrong.send(String(rig.words[2]))
    #expect(try turn { wrong.receive() == "" })
    #expect(short.receive() == nil)
    try short.send(String(rig.words[1].suffix(1)))
    #expect(try turn { rig.arrived.count == 1 })
    #expect(rig.notes.count == 1)
    #expect(rig.notes[0].contains("closed 1 connections") && rig.notes[0].contains("127.0.0.1"))
  }

  @Test func silentStrangersByTheHundredDelayNothingAndGo() throws {
    try rig.expect()
    let silent = try (0..<400).map { _ in try rig.connect() }
    let client = try rig.connect()
    try client.send(rig.words[1])
    #expect(try turn { !rig.arrived.isEmpty })
    #expect(client.receive() == rig.words[2])
    // Those that were still in the queue go with the listener.
    #expect(silent.allSatisfy { ["", "reset"].contains($0.receive() ?? "nothing") })
    #expect(!rig.arrivals.isListening)
  }

  @Test func whoSaysNothingIsClosedAfterSeconds() throws {
    try rig.expect()
    let silent = try rig.connect()
    #expect(try turn { silent.receive() == "" })
    #expect(rig.arrivals.isListening)
  }

  @Test func thePortIsClosedWithTheLastExpectation() throws {
    try rig.expect()
    let first = rig.arrival
    try rig.expect()
    if let first { rig.arrivals.dismiss(first) }
    #expect(rig.arrivals.isListening)
    if let second = rig.arrival { rig.arrivals.dismiss(second) }
    #expect(!rig.arrivals.isListening)
  }

  @Test func thePortIsOneOfTheSitesRange() throws {
    let ports = try #require(SrunPorts("61001-61004"))
    var rigs: [ArrivalRig] = []
    for _ in 0..<4 {
      let rig = try ArrivalRig(ports: ports)
      try rig.expect()
      rigs.append(rig)
    }
    #expect(Set(rigs.map(\.port)) == [61001, 61002, 61003, 61004])
    let late = try ArrivalRig(ports: ports)
    #expect(throws: SystemError("bind one of SrunPortRange=61001-61004", EADDRINUSE)) {
      try late.expect()
    }
  }

  @Test(arguments: [
    "", "60001", "60001-", "-60001", "5-4", "1-2-3", "0-4", "1-65536", "a-b", "1 -2",
  ])
  func whatIsNoRangeIsNone(text: String) { #expect(SrunPorts(text) == nil) }
}
