// Where the sshds of a tunnel through srun connect back to: one port for a moment, and one-time secrets.
//
// The port is open to every host, as the nodes' addresses are not known here. So nothing that a stranger
// does may cost more than a descriptor for a moment: the listener is accepted from without waiting, a
// connection has some seconds to tell its secret, and of too many the oldest goes.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// A connection that is to come, and the secrets that prove it. Each serves once.
final class Arrival {
  /// As many hexadecimal digits of each (SpunnelNode/node.h).
  static let secretLength = 64

  /// What the node's end sends first.
  fileprivate let question = Arrival.secret()
  /// What it is answered: the keeper proves that it is the keeper.
  fileprivate let answer = Arrival.secret()
  fileprivate let notify: (consuming FileDescriptor) -> Void

  fileprivate init(_ notify: @escaping (consuming FileDescriptor) -> Void) { self.notify = notify }

  /// What the node's end is told, for a keeper that listens on this port.
  fileprivate func text(_ port: UInt16) -> String {
    "\(port):\(String(decoding: question, as: UTF8.self)):\(String(decoding: answer, as: UTF8.self))"
  }

  /// 256 bits of the kernel's.
  private static func secret() -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    let digits = Array("0123456789abcdef".utf8)
    return (0..<secretLength).map { _ in digits[Int.random(in: 0..<16, using: &generator)] }
  }
}

final class Arrivals: EventHandler {
  /// Milliseconds that a connection has to tell its secret: the node's end sends it at once.
  private static let patience = 5000
  /// Connections that have not told theirs yet.
  private static let mostVisitors = 128
  /// Connections that are accepted before the tunnel's own are looked at again.
  private static let mostAtOnce = 64
  /// Milliseconds before the listener is looked at again when there is no descriptor.
  private static let busyPause = 50

  /// A connection that has not told its secret yet.
  private final class Visitor {
    var descriptor: FileDescriptor?
    let raw: CInt
    let peer: String
    let deadline = Clock.milliseconds() + Arrivals.patience
    var heard: [UInt8] = []

    init(_ descriptor: consuming FileDescriptor, from peer: String) {
      raw = descriptor.raw
      self.descriptor = consume descriptor
      self.peer = peer
    }
  }

  private let loop: EventLoop
  private let ports: SrunPorts?
  private let note: (String) -> Void
  private var listener: FileDescriptor?
  private var port: UInt16 = 0
  private var expected: [Arrival] = []
  /// The oldest first.
  private var visitors: [Visitor] = []
  private var timer: EventLoop.Timer?
  private var strangers = 0
  private var lastStranger = ""

  /// - Parameters:
  ///   - ports: where the site lets nodes connect to; `nil`: anywhere
  ///   - note: told a line for the log
  init(_ loop: EventLoop, ports: SrunPorts? = nil, note: @escaping (String) -> Void = { _ in }) {
    self.loop = loop
    self.ports = ports
    self.note = note
  }

  deinit { close() }

  /// Whether the port is open.
  var isListening: Bool { listener != nil }

  /// Ports that one srun takes: for Slurm's messages, for the step's, and for its input and output.
  private static let portsOfSrun = 3

  /// Looks whether there are ports for one more srun, and for one of the user's own after it: that one would
  /// fail for want of them, and with it a job.
  func makeRoom() throws(SSHDiagnosis) {
    guard let ports else { return }
    // Those that were started and have not come back may not have theirs yet.
    let needed =
      (isListening ? 0 : 1) + Arrivals.portsOfSrun * (expected.count + 1) + Arrivals.portsOfSrun
    let free = ports.free(atMost: needed)
    if free < needed { throw .crowded(ports, free: free, needed: needed) }
  }

  /// Opens the port, unless it is, for one more connection.
  ///
  /// - Parameter notify: told the connection, once; the expectation is over then
  /// - Returns: to be dismissed, and what the node's end is to be told
  func expect(
    _ notify: @escaping (consuming FileDescriptor) -> Void
  ) throws(SystemError) -> (arrival: Arrival, text: String) {
    if listener == nil { try listen() }
    let arrival = Arrival(notify)
    expected.append(arrival)
    return (arrival, arrival.text(port))
  }

  /// Waits for a connection no more. The port is closed with the last that is waited for.
  func dismiss(_ arrival: Arrival) {
    expected.removeAll { $0 === arrival }
    if expected.isEmpty { close() }
  }

  private func listen() throws(SystemError) {
    let listener =
      if let ports { try ports.listen() } else { try Socket.listenEverywhere(port: 0) }
    port = try Socket.localAddress(of: listener.raw).port
    try loop.add(listener.raw, [.input], self)
    self.listener = consume listener
  }

  private func close() {
    loop.cancel(timer)
    timer = nil
    if let raw = listener?.raw { loop.remove(raw) }
    listener = nil
    while let visitor = visitors.first { refuse(visitor) }
    if strangers > 0 {
      note(
        "closed \(strangers) connections to port \(port) that did not know the tunnel's secret, the "
          + "last from \(lastStranger)")
    }
    strangers = 0
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if descriptor == listener?.raw { return accept() }
    if let visitor = visitors.first(where: { $0.raw == descriptor }) { hear(visitor) }
  }

  // MARK: Visitors

  private func accept() {
    for _ in 0..<Arrivals.mostAtOnce {
      do throws(SystemError) {
        guard let raw = listener?.raw, let accepted = try Socket.accept(from: raw) else { return }
        admit(accepted)
      } catch {
        if error.isExhaustion { pause() }
        return
      }
    }
  }

  private func admit(_ accepted: consuming AcceptedSocket) {
    let peer = accepted.peer.host
    let visitor = Visitor(accepted.descriptor, from: peer)
    do throws(SystemError) { try loop.add(visitor.raw, [.input], self) } catch { return }
    if visitors.count == Arrivals.mostVisitors { refuse(visitors[0]) }
    visitors.append(visitor)
    if timer == nil { plan() }
  }

  /// No descriptor is free: the strangers' are given up, and others may become free meanwhile.
  private func pause() {
    while let visitor = visitors.first { refuse(visitor) }
    guard let raw = listener?.raw else { return }
    loop.rest(raw, milliseconds: Arrivals.busyPause, [.input], self) { [weak self] in
      self?.listener?.raw == raw
    }
  }

  private func plan() {
    guard let first = visitors.first else { return }
    timer = loop.after(milliseconds: max(0, first.deadline - Clock.milliseconds())) { [weak self] in
      guard let self else { return }
      self.timer = nil
      let now = Clock.milliseconds()
      while let visitor = self.visitors.first, visitor.deadline <= now { self.refuse(visitor) }
      self.plan()
    }
  }

  /// Compares only what is whole: how far a guess was right shows nowhere.
  private func hear(_ visitor: Visitor) {
    do throws(SystemError) {
      let rest = Arrival.secretLength - visitor.heard.count
      guard let bytes = try visitor.descriptor?.read(atMost: rest) else { return }
      visitor.heard += bytes
      if bytes.isEmpty { return refuse(visitor) }
      if visitor.heard.count < Arrival.secretLength { return }
      guard let arrival = wanted(visitor.heard) else { return refuse(visitor) }
      try Socket.send(arrival.answer, over: visitor.raw)
      receive(visitor, arrival)
    } catch { refuse(visitor) }
  }

  /// The one whose secret it is; all are compared, whichever it is.
  private func wanted(_ heard: [UInt8]) -> Arrival? {
    var found: Arrival?
    for arrival in expected where isSame(arrival.question, heard) { found = arrival }
    return found
  }

  /// The time that it takes does not tell how many of the bytes are the same.
  private func isSame(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    zip(one, other).reduce(UInt8(one.count == other.count ? 0 : 1)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  private func receive(_ visitor: Visitor, _ arrival: Arrival) {
    forget(visitor)
    guard let descriptor = visitor.descriptor.take() else { return }
    Socket.keepAlive(descriptor.raw)
    dismiss(arrival)
    arrival.notify(descriptor)
  }

  private func refuse(_ visitor: Visitor) {
    strangers += 1
    lastStranger = visitor.peer
    forget(visitor)
    visitor.descriptor = nil
  }

  private func forget(_ visitor: Visitor) {
    loop.remove(visitor.raw)
    visitors.removeAll { $0 === visitor }
  }
}
