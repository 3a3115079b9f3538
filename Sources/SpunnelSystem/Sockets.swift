// Loopback listeners, unix sockets, and the owner of a connection's other end.

import CSystem
import Glibc

/// The two loopback addresses, in the order in which they are claimed.
public enum Loopback: CaseIterable, Sendable {
  case v4, v6

  /// The address without brackets.
  public var address: String { self == .v4 ? "127.0.0.1" : "::1" }

  /// The address as it is written before a colon and a port.
  public var name: String { self == .v4 ? "127.0.0.1" : "[::1]" }
}

/// The address of a TCP socket, as the kernel stores it.
public struct SocketAddress: Sendable {
  var storage = sockaddr_storage()
  var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

  init() {}

  /// A loopback address.
  ///
  /// - Parameter port: in host byte order; 0 lets the kernel choose
  public init(_ loopback: Loopback, port: UInt16) {
    switch loopback {
    case .v4:
      set(
        sockaddr_in(
          sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
          sin_addr: in_addr(s_addr: INADDR_LOOPBACK.bigEndian),
          sin_zero: (0, 0, 0, 0, 0, 0, 0, 0)))
    case .v6:
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_addr = in6addr_loopback
      set(address)
    }
  }

  /// All addresses of this host.
  ///
  /// - Parameters:
  ///   - family: `AF_INET`, or `AF_INET6`, which includes IPv4 unless the socket is set to
  ///     `IPV6_V6ONLY`
  ///   - port: in host byte order; 0 lets the kernel choose
  init(everywhere family: CInt, port: UInt16) {
    if family == AF_INET6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      set(address)
    } else {
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      set(address)
    }
  }

  /// An IPv4 address in IPv6 form, `::ffff:a.b.c.d`, with port 0.
  init(mapped ipv4: in_addr_t) {
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    unsafe withUnsafeMutableBytes(of: &address.sin6_addr) {
      unsafe $0.storeBytes(of: UInt16.max, toByteOffset: 10, as: UInt16.self)
      unsafe $0.storeBytes(of: ipv4.bigEndian, toByteOffset: 12, as: UInt32.self)
    }
    set(address)
  }

  private mutating func set<Address>(_ address: Address) {
    length = socklen_t(MemoryLayout<Address>.size)
    unsafe withUnsafeMutableBytes(of: &storage) {
      unsafe $0.storeBytes(of: address, as: Address.self)
    }
  }

  /// `AF_INET` or `AF_INET6`.
  public var family: CInt { CInt(storage.ss_family) }

  /// The port in host byte order.
  public var port: UInt16 { withV6 { UInt16(bigEndian: $0.sin6_port) } }

  /// The address as people write it, such as `10.0.0.1`. An IPv4-mapped IPv6 address is also
  /// written in IPv4 form.
  public var host: String {
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    var (v6, v4) = (withV6 { $0.sin6_addr }, withV4 { $0.sin_addr })
    let isKnown =
      unsafe (family == AF_INET6
      ? inet_ntop(AF_INET6, &v6, &text, socklen_t(text.count))
      : inet_ntop(AF_INET, &v4, &text, socklen_t(text.count))) != nil
    guard isKnown, let end = text.firstIndex(of: 0) else { return "an unknown address" }
    let name = String(decoding: text[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let mapped = "::ffff:"
    return name.hasPrefix(mapped) && name.contains(".")
      ? String(name.dropFirst(mapped.count)) : name
  }

  /// Reads the storage as an IPv6 address. The port has the same offset in both families; the
  /// address has not.
  func withV6<Result>(_ body: (sockaddr_in6) -> Result) -> Result {
    unsafe withUnsafeBytes(of: storage) { body(unsafe $0.load(as: sockaddr_in6.self)) }
  }

  func withV4<Result>(_ body: (sockaddr_in) -> Result) -> Result {
    unsafe withUnsafeBytes(of: storage) { body(unsafe $0.load(as: sockaddr_in.self)) }
  }

  func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    unsafe withUnsafePointer(to: storage) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, length) }
    }
  }

  mutating func withMutablePointer(
    _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> CInt
  ) -> CInt {
    unsafe withUnsafeMutablePointer(to: &storage) { storage in
      unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe body($0, &length)
      }
    }
  }
}

/// An accepted connection with both addresses.
@frozen public struct AcceptedSocket: ~Copyable {
  public let descriptor: FileDescriptor
  public let peer: SocketAddress
  public let local: SocketAddress
}

/// Functions on sockets. Every descriptor is close-on-exec. Accepted and connected sockets are
/// non-blocking.
public enum Socket {
  private static let flags = CInt(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)

  /// Binds and listens in one function. `SO_REUSEADDR` is set, because without it an earlier
  /// tunnel's connections in TIME-WAIT would hold the port for a minute. But with it, another user
  /// could bind the same port between bind(2) and listen(2) and be the first to listen.
  ///
  /// - Parameters:
  ///   - loopback: the address
  ///   - port: in host byte order; 0 lets the kernel choose
  public static func listen(
    _ loopback: Loopback, port: UInt16
  ) throws(SystemError) -> FileDescriptor {
    let what = "bind \(loopback.name):\(port)"
    let address = SocketAddress(loopback, port: port)
    let raw = try check(what) {
      socket(address.family, CInt(SOCK_STREAM.rawValue) | flags, 0)
    }
    let descriptor = try FileDescriptor(new: raw)
    set(descriptor.raw, SOL_SOCKET, SO_REUSEADDR)
    // Accepted connections inherit the listener's options.
    set(descriptor.raw, CInt(IPPROTO_TCP), TCP_NODELAY)
    if loopback == .v6 { set(descriptor.raw, CInt(IPPROTO_IPV6), IPV6_V6ONLY) }
    try check(what) { unsafe address.withPointer { unsafe bind(descriptor.raw, $0, $1) } }
    try check(what) { Glibc.listen(descriptor.raw, SOMAXCONN) }
    return descriptor
  }

  /// Binds and listens on all addresses of this host.
  ///
  /// - Parameter port: in host byte order; 0 lets the kernel choose
  public static func listenEverywhere(port: UInt16) throws(SystemError) -> FileDescriptor {
    let what = "bind port \(port) on all addresses"
    let address = SocketAddress(everywhere: hasMappedAddresses() ? AF_INET6 : AF_INET, port: port)
    let raw = try check(what) { socket(address.family, CInt(SOCK_STREAM.rawValue) | flags, 0) }
    let descriptor = try FileDescriptor(new: raw)
    set(descriptor.raw, SOL_SOCKET, SO_REUSEADDR)
    if address.family == AF_INET6 { set(descriptor.raw, CInt(IPPROTO_IPV6), IPV6_V6ONLY, to: 0) }
    try check(what) { unsafe address.withPointer { unsafe bind(descriptor.raw, $0, $1) } }
    try check(what) { Glibc.listen(descriptor.raw, SOMAXCONN) }
    return descriptor
  }

  /// Makes the kernel detect that the peer's host is gone (tcp(7), `SO_KEEPALIVE`).
  public static func keepAlive(_ descriptor: CInt) { set(descriptor, SOL_SOCKET, SO_KEEPALIVE) }

  /// Binds a unix socket with mode 0600 and listens. An existing file of that name is an error,
  /// even an unused socket.
  ///
  /// - Parameter path: at most 107 bytes (unix(7))
  public static func listen(unix path: String) throws(SystemError) -> FileDescriptor {
    let what = "bind \(path)"
    let raw = try check(what) { socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | flags, 0) }
    let descriptor = try FileDescriptor(new: raw)
    // Before bind(2), fchmod(2) sets the mode of the file that bind(2) will make, regardless of the
    // umask.
    try check(what) { fchmod(descriptor.raw, 0o600) }
    try unsafe withAddress(unix: path, what) { address, length in
      unsafe bind(descriptor.raw, address, length)
    }
    try check(what) { Glibc.listen(descriptor.raw, SOMAXCONN) }
    return descriptor
  }

  /// The user who connected the other end of a unix socket (unix(7), `SO_PEERCRED`).
  public static func peerUser(of descriptor: CInt) throws(SystemError) -> uid_t {
    var user: uid_t = 0
    _ = try checkNegated("SO_PEERCRED", unsafe csystem_peer_user(descriptor, &user))
    return user
  }

  /// Whether a TCP connection to this port is accepted. The connection is closed at once.
  public static func canConnect(_ loopback: Loopback, port: UInt16) -> Bool {
    let address = SocketAddress(loopback, port: port)
    let raw = socket(address.family, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if raw < 0 { return false }
    let descriptor = FileDescriptor(owning: raw)
    return unsafe address.withPointer { unsafe Glibc.connect(descriptor.raw, $0, $1) } == 0
  }

  /// Whether a connection to this unix socket is accepted. The connection is closed at once.
  public static func canConnect(unix path: String) -> Bool {
    do throws(SystemError) {
      _ = try connect(unix: path)
      return true
    } catch { return false }
  }

  /// Whether one socket can serve both IPv6 and IPv4 (ipv6(7), IPv4-mapped addresses).
  public static func hasMappedAddresses() -> Bool {
    let raw = socket(AF_INET6, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    if raw < 0 { return false }
    let descriptor = FileDescriptor(owning: raw)
    let address = SocketAddress(mapped: INADDR_LOOPBACK)
    return unsafe address.withPointer { unsafe bind(descriptor.raw, $0, $1) } == 0
  }

  /// The address to which a socket is bound.
  public static func localAddress(of descriptor: CInt) throws(SystemError) -> SocketAddress {
    var address = SocketAddress()
    try check("getsockname") {
      unsafe address.withMutablePointer { unsafe getsockname(descriptor, $0, $1) }
    }
    return address
  }

  /// Whether it is an open descriptor of a listening socket.
  public static func isListening(_ descriptor: CInt) -> Bool {
    var value: CInt = 0
    var length = socklen_t(MemoryLayout<CInt>.size)
    let result = unsafe getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &length)
    return result == 0 && value != 0
  }

  /// Stops a socket from listening, even if another process has a copy of it, as srun has while it
  /// waits for the keeper. A port that was named at bind(2) stays bound until the last copy is
  /// closed.
  public static func stopListening(_ descriptor: CInt) {
    _ = shutdown(descriptor, CInt(SHUT_RD))
  }

  /// Keeps the port of a listening socket bound, so that no other process can bind it, even after
  /// the socket stops listening.
  public static func keepBound(_ descriptor: CInt) {
    var off: CInt = 0
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_REUSEADDR, &off, socklen_t(MemoryLayout<CInt>.size))
  }

  /// Makes a socket listen again after `stopListening`.
  public static func listenAgain(_ descriptor: CInt) throws(SystemError) {
    set(descriptor, SOL_SOCKET, SO_REUSEADDR)
    try check("listen") { Glibc.listen(descriptor, SOMAXCONN) }
  }

  /// Accepts the next connection as a non-blocking socket. A TCP connection inherits
  /// `TCP_NODELAY` from a listener that `listen` made.
  ///
  /// - Parameter local: the listener's own address, if it is one host address; saves a
  ///   getsockname(2)
  /// - Returns: `nil` if no connection waits
  public static func accept(
    from listener: CInt, local: SocketAddress? = nil
  ) throws(SystemError) -> AcceptedSocket? {
    var peer = SocketAddress()
    do throws(SystemError) {
      let raw = try checkNegated(
        "accept", unsafe csystem_accept(listener, &peer.storage, &peer.length))
      let descriptor = FileDescriptor(owning: raw)
      let here = if let local { local } else { try localAddress(of: raw) }
      return AcceptedSocket(descriptor: descriptor, peer: peer, local: here)
    } catch {
      // ECONNABORTED: the peer gave up before its connection was accepted.
      if error.code == EAGAIN || error.code == ECONNABORTED { return nil }
      throw error
    }
  }

  /// Connects to a unix socket without waiting.
  ///
  /// - Parameter path: at most 107 bytes (unix(7))
  /// - Returns: a non-blocking socket
  /// - Throws: `EAGAIN` if the listener's queue is full, `ECONNREFUSED` if nothing listens
  public static func connect(unix path: String) throws(SystemError) -> FileDescriptor {
    let what = "connect \(path)"
    let raw = try check(what) { socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | flags, 0) }
    let descriptor = FileDescriptor(owning: raw)
    try unsafe withAddress(unix: path, what) { address, length in
      unsafe Glibc.connect(raw, address, length)
    }
    return descriptor
  }

  private static func withAddress(
    unix path: String, _ what: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
  ) throws(SystemError) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    if bytes.count >= MemoryLayout.size(ofValue: address.sun_path) {
      throw SystemError(what, ENAMETOOLONG)
    }
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    try check(what) {
      unsafe withUnsafePointer(to: address) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
    }
  }

  /// Sends all bytes to a socket that has enough room. If the other end is closed, this throws
  /// `EPIPE` and no SIGPIPE ends the process.
  public static func send(_ bytes: [UInt8], over socket: CInt) throws(SystemError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      rest = rest.dropFirst(
        try check("send") {
          unsafe rest.withUnsafeBytes {
            unsafe Glibc.send(socket, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
          }
        })
    }
  }

  /// Sends one byte with a descriptor attached (unix(7), `SCM_RIGHTS`). The receiver gets a copy.
  public static func send(_ descriptor: CInt, over socket: CInt) throws(SystemError) {
    try checkNegated("send descriptor", csystem_send_descriptor(socket, descriptor))
  }

  /// Makes close(2) send a reset, so that the peer cannot take a cut for an orderly end.
  public static func resetOnClose(_ descriptor: CInt) {
    var value = linger(l_onoff: 1, l_linger: 0)
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
  }

  /// Undoes `resetOnClose`: close(2) sends the remaining bytes and an end of file.
  public static func endOnClose(_ descriptor: CInt) {
    var value = linger(l_onoff: 0, l_linger: 0)
    _ = unsafe setsockopt(
      descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
  }

  private static func set(_ descriptor: CInt, _ level: CInt, _ option: CInt, to value: CInt = 1) {
    var value = value
    _ = unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
  }
}
