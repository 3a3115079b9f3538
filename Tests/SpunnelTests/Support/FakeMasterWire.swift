// The messages of PROTOCOL.mux as a master reads them, apart from the product's own writing.

import Glibc

@testable import SpunnelSystem

/// A descriptor that arrays can hold.
final class FileDescriptorBox {
  private let descriptor: FileDescriptor
  var raw: CInt { descriptor.raw }
  init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
}

/// Reads ssh's wire format (RFC 4251, section 5).
struct Wanted {
  static let hello: UInt32 = 1
  static let newSession: UInt32 = 0x1000_0002
  static let aliveCheck: UInt32 = 0x1000_0004
  static let openForward: UInt32 = 0x1000_0006
  static let closeForward: UInt32 = 0x1000_0007
  static let stdioForward: UInt32 = 0x1000_0008

  private var bytes: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

  static func bytes(_ number: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
  }

  mutating func number() -> UInt32 {
    defer { bytes = bytes.dropFirst(4) }
    return bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
  }

  mutating func string() -> String {
    let length = Int(number())
    defer { bytes = bytes.dropFirst(length) }
    return String(decoding: bytes.prefix(length), as: UTF8.self)
  }

  /// What stands in a request to open or close a forward.
  mutating func forward() throws -> FakeMaster.Request {
    guard number() == 0 else { throw SystemError("request id", EPROTO) }
    let type = number()
    let (listen, connect) = (end(), end())
    guard bytes.isEmpty else { throw SystemError("end of request", EPROTO) }
    switch type {
    case 1 where listen.hasPrefix("/"): return .local(path: listen, to: connect)
    case 2: return .remote(at: listen, to: connect)
    default: throw SystemError("kind of forward", EPROTO)
    }
  }

  /// What stands in a request to connect.
  mutating func target() throws -> String {
    guard number() == 0, string() == "" else { throw SystemError("probe", EPROTO) }
    let target = end()
    guard bytes.isEmpty else { throw SystemError("end of request", EPROTO) }
    return target
  }

  private mutating func end() -> String {
    let (host, port) = (string(), number())
    return port == 0xffff_fffe ? host : "\(host):\(port)"
  }
}

extension End {
  /// Requests are written at once, so what has begun is there as a whole.
  ///
  /// - Returns: `nil` when nothing more was sent
  func readMessage() throws -> [UInt8]? {
    guard let length = try readExactly(4) else { return nil }
    var wanted = Wanted(length)
    return try readExactly(Int(wanted.number()))
  }

  private func readExactly(_ count: Int) throws -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    let got = unsafe recv(raw, &bytes, count, CInt(MSG_WAITALL))
    if got < 0 && errno == EAGAIN { return nil }
    if got != count { throw SystemError("read request", EPROTO) }
    return bytes
  }
}

/// One byte with one descriptor (unix(7)); the macros of cmsg(3) are not visible from Swift.
func receiveDescriptor(_ raw: CInt) throws -> FileDescriptor {
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
