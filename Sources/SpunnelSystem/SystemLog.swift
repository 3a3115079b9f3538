// Lines for this host's syslog, or its journal, which takes the same (syslog(3), /dev/log).

import CSystem
import Glibc

public enum SystemLog {
  /// Which part of the system a line is told as coming from (syslog(3)).
  public enum Facility: String, CaseIterable, Sendable {
    case user, daemon, auth, authpriv
    case local0, local1, local2, local3, local4, local5, local6, local7

    /// As it is counted in a line's first number (RFC 3164).
    var number: Int {
      switch self {
      case .user: 1
      case .daemon: 3
      case .auth: 4
      case .authpriv: 10
      case .local0: 16
      case .local1: 17
      case .local2: 18
      case .local3: 19
      case .local4: 20
      case .local5: 21
      case .local6: 22
      case .local7: 23
      }
    }
  }

  private static let socket = "/dev/log"
  /// `LOG_INFO`.
  private static let severity = 6
  /// Bytes of a line (RFC 3164).
  private static let longest = 1024

  /// Sends a line, without waiting: where nobody takes it, it is lost.
  public static func send(_ text: String, facility: Facility) {
    let raw = Glibc.socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if raw < 0 { return }
    let descriptor = FileDescriptor(owning: raw)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { path in
      unsafe path.copyBytes(from: Array(socket.utf8))
    }
    let bytes = Array(line(text, facility, pid: getpid(), time: now()).utf8.prefix(longest))
    _ = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { target in
        unsafe sendto(
          descriptor.raw, bytes, bytes.count, CInt(MSG_DONTWAIT | MSG_NOSIGNAL),
          target, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }

  /// `<14>Nov 30 16:52:30 spunnel[12]: …`, as syslog(3) writes it.
  static func line(_ text: String, _ facility: Facility, pid: pid_t, time: String) -> String {
    "<\(facility.number * 8 + severity)>\(time) spunnel[\(pid)]: \(text)"
  }

  /// Local time as syslog(3) writes it.
  private static func now() -> String {
    var seconds = Glibc.time(nil)
    var parts = unsafe tm()
    guard unsafe localtime_r(&seconds, &parts) != nil else { return "Jan  1 00:00:00" }
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
      guard let start = buffer.baseAddress else { return "" }
      let count = unsafe strftime(start, buffer.count, "%b %e %H:%M:%S", &parts)
      return unsafe String(decoding: UnsafeRawBufferPointer(buffer)[..<count], as: UTF8.self)
    }
  }
}
