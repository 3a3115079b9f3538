// The port to which the sshds of a tunnel through srun connect back, and their one-time secrets.
// The port is open only while a connection is expected.
//
// The port is open to every host, because the nodes' addresses are not known here. A stranger must
// therefore not cost more than one descriptor for a short time. The listener accepts without
// blocking. A connection has a few seconds to send its secret. If there are too many connections,
// the oldest is closed.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// An expected connection and the two secrets that prove it. Each secret serves once.
final class Arrival {
  /// Hexadecimal digits in each secret (SpunnelNode/node.h).
  static let secretLength = 64

  /// The secret that the node's end sends first.
  fileprivate let question = Arrival.secret()
  /// The secret that the keeper answers with, to prove that it is the keeper.
  fileprivate let answer = Arrival.secret()
  fileprivate let notify: (consuming FileDescriptor) -> Void

  fileprivate init(_ notify: @escaping (consuming FileDescriptor) -> Void) { self.notify = notify }

  /// The text that tells the node's end the port and both secrets.
  fileprivate func text(_ port: UInt16) -> String {
    "\(port):\(String(decoding: question, as: UTF8.self)):\(String(decoding: answer, as: UTF8.self))"
  }

  /// A new secret: 256 random bits from the kernel.
  private static func secret() -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    let digits = Array("0123456789abcdef".utf8)
    return (0..<secretLength).map { _ in digits[Int.random(in: 0..<16, using: &generator)] }
  }
}

final class Arrivals: EventHandler {
  /// Milliseconds that a connection has to send its secret. The node's end sends it at once.
  private static let patience = 5000
  /// The most connections that have not sent their secret yet.
  private static let mostVisitors = 128
  /// The most connections accepted in a row, before the tunnel's own connections get their turn.
  private static let mostAtOnce = 64
  /// Milliseconds before the listener accepts again after descriptors ran out.
  private static let busyPause = 50

  /// A connection that has not sent its secret yet.
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
  /// In order of arrival, the oldest first.
  private var visitors: [Visitor] = []
  private var timer: EventLoop.Timer?
  private var strangers = 0
  private var lastStranger = ""

  /// Prepares to listen; the port is opened by `expect`.
  ///
  /// - Parameters:
  ///   - ports: the ports to which the site lets nodes connect; `nil`: any port
  ///   - note: called with a line for the log
  init(_ loop: EventLoop, ports: SrunPorts? = nil, note: @escaping (String) -> Void = { _ in }) {
    self.loop = loop
    self.ports = ports
    self.note = note
  }

  deinit { close() }

  /// Whether the port is open.
  var isListening: Bool { listener != nil }

  /// Ports that one srun needs: for Slurm's messages, for the step's messages, and for its input
  /// and output.
  private static let portsOfSrun = 3

  /// Checks that enough ports are free for one more srun of the tunnel and for one of the user's
  /// own. Without a free port the user's next srun would fail, and its job with it.
  ///
  /// - Throws: `crowded` with the counts, if too few ports are free
  func makeRoom() throws(SSHDiagnosis) {
    guard let ports else { return }
    // An expected srun may not have opened its ports yet, so all of them are counted.
    let needed =
      (isListening ? 0 : 1) + Arrivals.portsOfSrun * (expected.count + 1) + Arrivals.portsOfSrun
    let free = ports.free(atMost: needed)
    if free < needed { throw .crowded(ports, free: free, needed: needed) }
  }

  /// Expects one more connection. Opens the port if it is closed.
  ///
  /// - Parameter notify: called once with the connection; the arrival is dismissed before
  /// - Returns: the arrival, to be dismissed, and the text for the node's end
  func expect(
    _ notify: @escaping (consuming FileDescriptor) -> Void
  ) throws(SystemError) -> (arrival: Arrival, text: String) {
    if listener == nil { try listen() }
    let arrival = Arrival(notify)
    expected.append(arrival)
    return (arrival, arrival.text(port))
  }

  /// No longer expects a connection. The last dismissal closes the port.
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

  /// Frees descriptors: closes all connections that have not proved themselves, and stops accepting
  /// for a moment. Other descriptors may become free in that time.
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

  /// Reads the secret. Only a whole secret is compared, so a partial guess learns nothing.
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

  /// Finds the arrival that the secret belongs to. All are compared, so the time does not depend on
  /// which one it is.
  private func wanted(_ heard: [UInt8]) -> Arrival? {
    var found: Arrival?
    for arrival in expected where isSame(arrival.question, heard) { found = arrival }
    return found
  }

  /// Compares in constant time: the time does not depend on how many bytes are equal.
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
