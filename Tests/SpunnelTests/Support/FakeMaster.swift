// A control master as PROTOCOL.mux describes it, in the test's own hands: it answers as it is told
// and passes bytes between the two descriptors of a session like an echo service.

import Glibc

@testable import SpunnelSystem

final class FakeMaster {
  enum Answer { case open, refuse, none }

  /// One connection to the control socket.
  final class Session {
    fileprivate let control: End
    /// What was asked for; empty until it was read.
    fileprivate(set) var host = ""
    fileprivate(set) var port: UInt32 = 0
    /// Bytes from the client, and bytes to it: the descriptors that were handed over.
    fileprivate(set) var input: End?
    fileprivate(set) var output: End?
    /// How many of the received bytes were sent back.
    private var echoed = 0
    fileprivate var isAnswered = false
    /// Whether bytes are passed on.
    var copies = true

    fileprivate init(_ control: consuming FileDescriptor) throws { self.control = try End(control) }

    /// Whether both sides still hold their ends of the control connection.
    var isHeld: Bool {
      control.receive()
      return control.isOpen && !control.sawEnd && control.failure == nil
    }

    fileprivate func copy() {
      guard isAnswered, copies, let input, let output else { return }
      input.receive()
      if echoed < input.received.count {
        output.send(Array(input.received[echoed...]))
        echoed = input.received.count
      }
      output.write()
      if input.sawEnd && output.isSent && output.isOpen {
        // As ssh: both directions are over, so the session is.
        output.close()
        input.close()
        control.close()
      }
    }

    /// Sends a message.
    func say(_ bytes: [UInt8]) { control.send(bytes) }

    /// Lets go of everything, as a master that dies.
    func drop() {
      input?.close()
      output?.close()
      control.close()
    }
  }

  let path: String
  var answer = Answer.open
  private(set) var sessions: [Session] = []
  private var listener: FileDescriptor?

  init(_ scratch: Scratch) throws {
    path = scratch.path + "/control"
    let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let raw = try check("socket") { socket(AF_UNIX, type, 0) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
    try check("bind") {
      unsafe withUnsafePointer(to: address) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe bind(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
    }
    try check("listen") { listen(raw, 64) }
    listener = FileDescriptor(owning: raw)
  }

  /// Accepts, answers and copies as far as it can at once.
  func work() throws {
    while let raw = listener?.raw, let connection = try Socket.accept(from: raw) {
      try admit(connection.descriptor)
    }
    for session in sessions { session.copy() }
  }

  /// Ends as a master that was killed.
  func die() {
    listener = nil
    for session in sessions { session.drop() }
    _ = unsafe unlink(path)
  }

  private func admit(_ connection: consuming FileDescriptor) throws {
    // Requests are written at once, so all of it is there.
    let raw = connection.raw
    var hello = Wanted(try readMessage(raw))
    guard hello.number() == 1, hello.number() == 4 else { throw SystemError("hello", EPROTO) }
    var request = Wanted(try readMessage(raw))
    guard request.number() == 0x1000_0008, request.number() == 0, request.string() == "" else {
      throw SystemError("request", EPROTO)
    }
    let (host, port) = (request.string(), request.number())
    let input = try receiveDescriptor(raw)
    let output = try receiveDescriptor(raw)
    let session = try Session(connection)
    (session.host, session.port) = (host, port)
    (session.input, session.output) = (try End(input), try End(output))
    session.say([0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 4])
    sessions.append(session)
    if answer != .none { reply(answer, to: session) }
  }

  func reply(_ answer: Answer, to session: Session) {
    session.isAnswered = true
    switch answer {
    case .open: session.say([0, 0, 0, 12, 0x80, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 2])
    case .refuse:
      session.say([0, 0, 0, 14, 0x80, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0x6e, 0x6f])
      session.copies = false
      session.input?.close()
      session.output?.close()
    case .none: break
    }
  }

  private func readMessage(_ raw: CInt) throws -> [UInt8] {
    var length = Wanted(try readExactly(raw, 4))
    return try readExactly(raw, Int(length.number()))
  }

  private func readExactly(_ raw: CInt, _ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = try check("recv") { unsafe recv(raw, &bytes, count, CInt(MSG_WAITALL)) }
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

/// Reads ssh's wire format (RFC 4251, section 5).
private struct Wanted {
  private var bytes: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

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
