// A control master as PROTOCOL.mux describes it, in the test's own hands: it answers as it is told,
// listens where it is asked to, and is an echo service behind every forward.

import Glibc
import Testing

@testable import Spunnel
@testable import SpunnelSystem

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

  enum Request: Equatable {
    case forward(path: String, host: String, port: UInt32)
    case probe(host: String, port: UInt32)
  }

  /// One connection to the control socket.
  final class Session {
    fileprivate let control: End
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

  /// One connection to a forward's socket.
  final class Service {
    let port: UInt32
    let end: End
    /// Whether it sends back what it receives.
    var echoes = true
    private var echoed = 0

    fileprivate init(_ port: UInt32, _ connection: consuming FileDescriptor) throws {
      self.port = port
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
    let port: UInt32
    let socket: FileDescriptor

    init(_ port: UInt32, _ socket: consuming FileDescriptor) {
      self.port = port
      self.socket = socket
    }
  }

  let record: Record
  var forwardAnswer = Answer.agree
  var probeAnswer = Answer.agree
  private(set) var sessions: [Session] = []
  private(set) var services: [Service] = []
  private var listeners: [Listener] = []
  private var control: FileDescriptor?

  init(_ scratch: Scratch) throws {
    record = try Record.create(StepName(job: 17, step: 0), in: scratch.path, user: getuid())
    control = try listenUnix(record.controlPath)
  }

  /// All that was asked for, in the order of the connections.
  var requests: [Request] { sessions.flatMap(\.requests) }

  /// A handle of the control socket.
  func handle() throws -> SocketHandle {
    try SocketHandle(RecordFile.control, in: record.directory)
  }

  /// Listens for forwards as if asked to. - Parameter backlog: see `listenUnix`
  func sockets(for forwards: [Forward], backlog: CInt = 64) throws -> ForwardSockets {
    for forward in forwards {
      let path = record.socketPath(of: forward.submit)
      try listen(path, UInt32(forward.exec.number), backlog: backlog)
    }
    return try ForwardSockets(forwards, in: record)
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
        services.append(try Service(listener.port, connection.descriptor))
      }
    }
    for service in services { service.work() }
  }

  /// Ends as a master that was killed: the sockets' names stay.
  func die() {
    control = nil
    listeners = []
    for session in sessions { session.hangUp() }
    for service in services { service.end.close() }
  }

  func reply(_ answer: Answer, to session: Session) {
    guard let request = session.requests.last else { return }
    switch (answer, request) {
    case (.agree, .forward): session.say([0, 0, 0, 8, 0x80, 0, 0, 1, 0, 0, 0, 0])
    case (.agree, .probe): session.say([0, 0, 0, 12, 0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 2])
    case (.refuse, _):
      session.say([0, 0, 0, 14, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0x6e, 0x6f])
    case (.none, _): break
    case (.hangUp, _): session.hangUp()
    }
  }

  private func listen(_ path: String, _ port: UInt32, backlog: CInt = 64) throws {
    _ = unsafe unlink(path)
    listeners.append(Listener(port, try listenUnix(path, backlog: backlog)))
  }

  private func hear(_ session: Session) throws {
    while let message = try readMessage(session) {
      var wanted = Wanted(message)
      switch wanted.number() {
      case 1 where !session.saidHello:
        guard wanted.number() == 4 else { throw SystemError("hello", EPROTO) }
        session.saidHello = true
      case 0x1000_0006 where session.saidHello: try forward(&wanted, session)
      case 0x1000_0008 where session.saidHello: try probe(&wanted, session)
      default: throw SystemError("request", EPROTO)
      }
    }
  }

  private func forward(_ wanted: inout Wanted, _ session: Session) throws {
    guard wanted.number() == 0, wanted.number() == 1 else { throw SystemError("forward", EPROTO) }
    let path = wanted.string()
    guard wanted.number() == 0xffff_fffe else { throw SystemError("forward", EPROTO) }
    let (host, port) = (wanted.string(), wanted.number())
    guard wanted.isEmpty else { throw SystemError("forward", EPROTO) }
    session.requests.append(.forward(path: path, host: host, port: port))
    if forwardAnswer == .agree { try listen(path, port) }
    reply(forwardAnswer, to: session)
  }

  private func probe(_ wanted: inout Wanted, _ session: Session) throws {
    guard wanted.number() == 0, wanted.string() == "" else { throw SystemError("probe", EPROTO) }
    let (host, port) = (wanted.string(), wanted.number())
    guard wanted.isEmpty else { throw SystemError("probe", EPROTO) }
    for _ in 0..<2 {
      session.descriptors.append(FileDescriptorBox(try receiveDescriptor(session.control.raw)))
    }
    session.requests.append(.probe(host: host, port: port))
    reply(probeAnswer, to: session)
  }

  /// - Returns: `nil` when nothing more was sent
  private func readMessage(_ session: Session) throws -> [UInt8]? {
    guard session.control.isOpen, session.isHeld else { return nil }
    // Requests are written at once, so what has begun is there as a whole.
    guard let length = try readExactly(session.control.raw, 4) else { return nil }
    var wanted = Wanted(length)
    return try readExactly(session.control.raw, Int(wanted.number()))
  }

  /// - Returns: `nil` when nothing is there
  private func readExactly(_ raw: CInt, _ count: Int) throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = unsafe recv(raw, &bytes, count, CInt(MSG_WAITALL))
    if got < 0 && errno == EAGAIN { return nil }
    if got != count { throw SystemError("read request", EPROTO) }
    return bytes
  }

  /// One byte with one descriptor (unix(7)); the macros of cmsg(3) are not visible from Swift.
  private func receiveDescriptor(_ raw: CInt) throws -> FileDescriptor {
    struct Control {
      var header = cmsghdr()
      var descriptor: CInt = -1
      var padding: CInt = 0
    }
    var control = Control()
    var byte: UInt8 = 0xff
    let got = try check("recvmsg") {
      unsafe withUnsafeMutablePointer(to: &byte) { byte in
        unsafe withUnsafeMutablePointer(to: &control) { control in
          var part = unsafe iovec(iov_base: byte, iov_len: 1)
          return unsafe withUnsafeMutablePointer(to: &part) { part in
            var message = unsafe msghdr()
            unsafe message.msg_iov = part
            unsafe message.msg_iovlen = 1
            unsafe message.msg_control = UnsafeMutableRawPointer(control)
            unsafe message.msg_controllen = MemoryLayout<Control>.size
            return unsafe recvmsg(raw, &message, CInt(MSG_CMSG_CLOEXEC))
          }
        }
      }
    }
    if got != 1 || byte != 0 || control.descriptor < 0 {
      throw SystemError("receive descriptor", EPROTO)
    }
    return FileDescriptor(owning: control.descriptor)
  }
}

/// A descriptor that arrays can hold.
final class FileDescriptorBox {
  private let descriptor: FileDescriptor
  var raw: CInt { descriptor.raw }
  init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
}

/// Reads ssh's wire format (RFC 4251, section 5).
private struct Wanted {
  private var bytes: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

  var isEmpty: Bool { bytes.isEmpty }

  mutating func number() -> UInt32 {
    defer { bytes = bytes.dropFirst(4) }
    return bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
  }

  mutating func string() -> String {
    let length = Int(number())
    defer { bytes = bytes.dropFirst(length) }
    return String(decoding: bytes.prefix(length), as: UTF8.self)
  }
}
