// A control master as PROTOCOL.mux describes it, in the test's own hands: it answers as it is told,
// listens where it is asked to, and is an echo service behind every forward.

import Glibc
import SpunnelSystem

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

final class FakeMaster {
  enum Answer {
    /// What was asked for is done.
    case agree
    case refuse
    /// Silence.
    case none
    /// The connection is closed instead.
    case hangUp
  }

  /// Ends are written as `localhost:8000`, or as the path of a unix socket.
  enum Request: Equatable, Sendable {
    /// Connections to a unix socket here are wanted on the far side.
    case local(path: String, to: String)
    /// Connections on the far side are wanted here.
    case remote(at: String, to: String)
    /// The same forward is not wanted any more.
    indirect case close(Request)
    case probe(String)

    /// Whether it is a probe of a port where nothing can listen.
    var isOfNothing: Bool { if case .probe(let to) = self { to.hasSuffix(":0") } else { false } }
  }

  /// One connection to the control socket.
  final class Session {
    let control: End
    fileprivate(set) var requests: [Request] = []
    /// What came with a probe.
    fileprivate(set) var descriptors: [FileDescriptorBox] = []
    fileprivate var saidHello = false

    fileprivate init(_ control: consuming FileDescriptor) throws { self.control = try End(control) }

    /// Whether both sides still hold their ends of the control connection.
    var isHeld: Bool {
      var byte: UInt8 = 0
      let count = unsafe recv(control.raw, &byte, 1, CInt(MSG_PEEK | MSG_DONTWAIT))
      return count > 0 || count < 0 && errno == EAGAIN
    }

    /// Sends a message.
    func say(_ bytes: [UInt8]) { control.send(bytes) }

    func hangUp() { control.close() }
  }

  /// One connection to a forward's socket, and the service at its end.
  final class Channel {
    /// Where it leads.
    let to: String
    let end: End
    /// Whether it sends back what it receives.
    var echoes = true
    private var echoed = 0

    fileprivate init(_ to: String, _ connection: consuming FileDescriptor) throws {
      self.to = to
      end = try End(connection)
    }

    fileprivate func work() {
      guard echoes, end.isOpen else { return }
      end.work()
      if echoed < end.received.count {
        end.send(Array(end.received[echoed...]))
        echoed = end.received.count
      }
      if end.sawEnd { end.finish() }
    }
  }

  private final class Listener {
    let request: Request
    let to: String
    let socket: FileDescriptor

    init(_ request: Request, _ to: String, _ socket: consuming FileDescriptor) {
      self.request = request
      self.to = to
      self.socket = socket
    }
  }

  let record: Record
  let link: Int
  var localAnswer = Answer.agree
  var remoteAnswer = Answer.agree
  var probeAnswer = Answer.agree
  /// The ends on one loopback address, as `127.0.0.1:9000`, that sshd does not listen on.
  var refusedTrials: Set<String> = []
  /// Those that it was asked for, and that are not closed again.
  private(set) var trials: [String] = []
  private(set) var openTrials: Set<String> = []
  /// To a probe of port 0.
  var emptyAnswer = Answer.refuse
  /// Says a line as ssh does, before it answers that the far end refused.
  var speak: (String) -> Void = { _ in }
  /// What the far kernel chooses next.
  var nextPort: UInt32 = 40_001
  private(set) var sessions: [Session] = []
  private(set) var channels: [Channel] = []
  private var listeners: [Listener] = []
  fileprivate(set) var remotes: [Request] = []
  private var control: FileDescriptor?

  /// - Parameter record: where it makes its sockets
  init(_ record: Record, link: Int = 0) {
    self.record = record
    self.link = link
  }

  /// A master that has logged in, with a record of its own.
  convenience init(_ scratch: Scratch) throws {
    self.init(
      try Record.create(StepName(job: 17, step: 0), in: scratch.path, user: getuid()))
    try logIn()
  }

  func logIn() throws { control = try listenUnix(record.controlPath(of: link)) }

  /// All that was asked for, in the order of the connections.
  var requests: [Request] { sessions.flatMap(\.requests) }

  /// The probes without those that only help another on.
  var probes: [Request] {
    var seen: [Request] = []
    for request in requests {
      if case .probe = request, !seen.contains(request) { seen.append(request) }
    }
    return seen
  }

  /// What was asked for besides probes.
  var orders: [Request] {
    requests.filter { if case .probe = $0 { false } else { true } }
  }

  /// Where ssh listens for a service.
  ///
  /// - Parameter number: of the sockets of the record, from 1
  func socketPath(_ number: Int) -> String {
    record.directory.path + "/" + RecordFile.socket(number)
  }

  /// A handle of the control socket.
  func handle() throws -> SocketHandle {
    try SocketHandle(RecordFile.control(of: link), in: record.directory)
  }

  /// Listens for services as if asked to.
  ///
  /// - Parameter backlog: see `listenUnix`
  func sockets(for services: [Service], backlog: CInt = 64) throws -> ServiceSockets {
    let sockets = ServiceSockets(record)
    for service in services {
      try listen(MultiplexRequest.open(sockets.reserve(service)), backlog: backlog)
      try sockets.hold(service)
    }
    return sockets
  }

  /// Does what one message asks for, without an answer.
  func listen(_ message: [UInt8], backlog: CInt = 64) throws {
    var wanted = Wanted(message)
    _ = wanted.number()
    guard wanted.number() == Wanted.openForward else { throw SystemError("listen", EPROTO) }
    try carryOut(try wanted.forward(), backlog: backlog)
  }

  /// Accepts, answers and echoes as far as it can at once.
  func work() throws {
    while let raw = control?.raw, let connection = try Socket.accept(from: raw) {
      let session = try Session(connection.descriptor)
      session.say([0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 4])
      sessions.append(session)
    }
    for session in sessions { try hear(session) }
    for listener in listeners {
      while let connection = try Socket.accept(from: listener.socket.raw) {
        channels.append(try Channel(listener.to, connection.descriptor))
      }
    }
    for channel in channels { channel.work() }
  }

  /// Ends as a master that was killed: the sockets' names stay.
  func die() {
    control = nil
    listeners = []
    remotes = []
    for session in sessions { session.hangUp() }
    for channel in channels { channel.end.close() }
  }

  func reply(_ answer: Answer, to session: Session) {
    guard let request = session.requests.last else { return }
    switch (answer, request) {
    case (.agree, .remote(at: "localhost:0", _)):
      session.say([0, 0, 0, 12, 0x80, 0, 0, 7, 0, 0, 0, 0] + Wanted.bytes(nextPort))
      nextPort += 1
    case (.agree, .local), (.agree, .remote), (.agree, .close):
      session.say([0, 0, 0, 8, 0x80, 0, 0, 1, 0, 0, 0, 0])
    case (.agree, .probe): session.say([0, 0, 0, 12, 0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 2])
    case (.refuse, _):
      if case .probe = request {
        speak("channel 2: open failed: connect failed: Connection refused")
      }
      session.say([0, 0, 0, 14, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0x6e, 0x6f])
    case (.none, _): break
    case (.hangUp, _): session.hangUp()
    }
  }

  private func hear(_ session: Session) throws {
    while session.control.isOpen, session.isHeld, let message = try session.control.readMessage() {
      var wanted = Wanted(message)
      let kind = wanted.number()
      if kind == Wanted.hello, !session.saidHello, wanted.number() == 4 {
        session.saidHello = true
        continue
      }
      guard session.saidHello else { throw SystemError("hello", EPROTO) }
      switch kind {
      case Wanted.aliveCheck: session.say([0, 0, 0, 12, 0x80, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9])
      case Wanted.openForward: try open(try wanted.forward(), session)
      case Wanted.closeForward: close(try wanted.forward(), session)
      case Wanted.stdioForward:
        let probe = Request.probe(try wanted.target())
        for _ in 0..<2 {
          session.descriptors.append(FileDescriptorBox(try receiveDescriptor(session.control.raw)))
        }
        session.requests.append(probe)
        reply(probe.isOfNothing ? emptyAnswer : probeAnswer, to: session)
      case Wanted.newSession:
        for _ in 0..<3 {
          session.descriptors.append(FileDescriptorBox(try receiveDescriptor(session.control.raw)))
        }
        // A node that runs no command.
        session.say([0, 0, 0, 14, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0x6e, 0x6f])
      default: throw SystemError("request", EPROTO)
      }
    }
  }

  /// The end of a remote forward on one loopback address alone.
  private static func trial(_ request: Request) -> String? {
    guard case .remote(at: let end, _) = request else { return nil }
    return end.hasPrefix("localhost:") || end.hasPrefix("/") ? nil : end
  }

  private func tryOut(_ end: String, _ session: Session) {
    trials.append(end)
    if refusedTrials.contains(end) {
      return session.say([0, 0, 0, 14, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0x6e, 0x6f])
    }
    openTrials.insert(end)
    if !end.hasSuffix(":0") { return session.say([0, 0, 0, 8, 0x80, 0, 0, 1, 0, 0, 0, 0]) }
    session.say([0, 0, 0, 12, 0x80, 0, 0, 7, 0, 0, 0, 0] + Wanted.bytes(50_000))
  }

  private func open(_ request: Request, _ session: Session) throws {
    if let end = FakeMaster.trial(request) { return tryOut(end, session) }
    session.requests.append(request)
    let answer = if case .remote = request { remoteAnswer } else { localAnswer }
    if answer == .agree { try carryOut(request) }
    reply(answer, to: session)
  }

  private func carryOut(_ request: Request, backlog: CInt = 64) throws {
    guard case .local(let path, let to) = request else { return remotes.append(request) }
    _ = unsafe unlink(path)
    listeners.append(Listener(request, to, try listenUnix(path, backlog: backlog)))
  }

  private func close(_ request: Request, _ session: Session) {
    if let end = FakeMaster.trial(request) {
      openTrials.remove(end)
      return session.say([0, 0, 0, 8, 0x80, 0, 0, 1, 0, 0, 0, 0])
    }
    session.requests.append(.close(request))
    let count = listeners.count + remotes.count
    listeners.removeAll { $0.request == request }
    remotes.removeAll { $0 == request }
    reply(listeners.count + remotes.count < count ? .agree : .refuse, to: session)
  }
}

extension FakeMaster {
  /// Does what a session asked for last and says so, after a silence.
  func carryOutLate(_ session: Session) {
    guard let request = session.requests.last else { return }
    remotes.append(request)
    reply(.agree, to: session)
  }
}
