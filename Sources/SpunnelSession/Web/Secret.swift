// Secrets of a session: made of the kernel's random bytes, compared in constant time.

import Glibc
import SpunnelSystem

enum Secret {
  /// 128 random bits as 32 hexadecimal digits.
  static func make() throws(SystemError) -> String {
    let digits = Array("0123456789abcdef".utf8)
    let text = try random(16).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    return String(decoding: text, as: UTF8.self)
  }

  /// Eight characters for VNC, which takes no more of a password: 48 random bits.
  static func makeShort() throws(SystemError) -> String {
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    return String(decoding: try random(8).map { letters[Int($0 & 63)] }, as: UTF8.self)
  }

  static func random(_ count: Int) throws(SystemError) -> [UInt8] {
    let source = try FileDescriptor.open("/dev/urandom", O_RDONLY)
    guard let bytes = try source.read(atMost: count), bytes.count == count else {
      throw SystemError("read /dev/urandom", EIO)
    }
    return bytes
  }

  /// Compares whole and in constant time. An empty secret matches nothing.
  static func matches(_ given: some Collection<UInt8>, _ secret: some Collection<UInt8>) -> Bool {
    guard !secret.isEmpty, given.count == secret.count else { return false }
    return zip(given, secret).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }
}
