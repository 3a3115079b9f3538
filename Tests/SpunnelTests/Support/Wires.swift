// Sockets with hardly any room in them, and the ends of them that a test holds.

import Glibc
import Testing

@testable import SpunnelSystem

/// Writing to a pipe that nobody reads is an error and not the end of the test process.
let ignoreBrokenPipes: Void = { _ = signal(SIGPIPE, SIG_IGN) }()

/// Bytes in no order, the same for the same seed.
func noise(_ count: Int, seed: UInt64) -> [UInt8] {
  var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
  var bytes: [UInt8] = []
  bytes.reserveCapacity(count + 8)
  while bytes.count < count {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    unsafe withUnsafeBytes(of: state) { unsafe bytes.append(contentsOf: $0) }
  }
  bytes.removeLast(bytes.count - count)
  return bytes
}

/// The test's end of a socket or pipe: sends what it is given, as far as there is room, and keeps
/// what it reads. Never waits.
final class End {
  private var descriptor: FileDescriptor?
  private var outgoing: [UInt8] = []
  private var done = 0
  private var endsAfterSending = false

  private(set) var received: [UInt8] = []
  /// Whether end of file was read.
  private(set) var sawEnd = false
  /// The errno of the first call that failed.
  private(set) var failure: CInt?

  init(_ descriptor: consuming FileDescriptor) throws {
    ignoreBrokenPipes
    try descriptor.makeNonBlocking()
    self.descriptor = consume descriptor
  }

  var raw: CInt { descriptor?.raw ?? -1 }
  var isOpen: Bool { descriptor != nil }
  /// Whether all that was to be sent is on its way.
  var isSent: Bool { done == outgoing.count }
  /// Expects just these bytes. (`#expect` would look for the difference for minutes.)
  func expectReceived(_ bytes: [UInt8], at location: SourceLocation = #_sourceLocation) {
    if received == bytes { return }
    let same = zip(received, bytes).prefix { $0 == $1 }.count
    Issue.record(
      "received \(received.count) bytes of \(bytes.count), the first \(same) unchanged",
      sourceLocation: location)
  }

  var text: String { String(decoding: received, as: UTF8.self) }

  /// Sends bytes with the next `work`s.
  func send(_ bytes: [UInt8]) {
    outgoing.append(contentsOf: bytes)
    write()
  }

  func send(_ text: String) { send(Array(text.utf8)) }

  /// Sends one byte of urgent data (tcp(7)) behind what is on its way.
  func sendUrgently() {
    #expect(isSent)
    #expect(unsafe Glibc.send(raw, "!", 1, CInt(MSG_OOB)) == 1)
  }

  /// Sends end of file once all is sent: half-closes a socket, closes a pipe.
  func finish() {
    endsAfterSending = true
    write()
  }

  /// Sends and receives what can be at once.
  func work() {
    write()
    receive()
  }

  func write() {
    while let raw = descriptor?.raw, done < outgoing.count {
      let count = unsafe outgoing[done...].withUnsafeBytes {
        unsafe Glibc.write(raw, $0.baseAddress, $0.count)
      }
      if count > 0 {
        done += count
        continue
      }
      if errno != EAGAIN { fail(errno) }
      return
    }
    if endsAfterSending, let raw = descriptor?.raw {
      endsAfterSending = false
      if shutdown(raw, CInt(SHUT_WR)) != 0 && errno == ENOTSOCK { close() }
    }
  }

  /// - Parameter limit: bytes at the most
  func receive(atMost limit: Int = 65536) {
    if sawEnd || failure != nil { return }
    do throws(SystemError) {
      guard let bytes = try descriptor?.read(atMost: limit) else { return }
      if bytes.isEmpty { sawEnd = true }
      received += bytes
    } catch { fail(error.code) }
  }

  func close() { descriptor = nil }

  /// Reads no more: who writes to it is told that the pipe is broken.
  func deafen() { _ = shutdown(raw, CInt(SHUT_RD)) }

  /// Closes so that the peer sees a reset.
  func reset() {
    Socket.resetOnClose(raw)
    close()
  }

  private func fail(_ code: CInt) { failure = failure ?? code }
}

/// A socket that listens on a path.
///
/// - Parameter backlog: connections that may wait to be accepted, less one
func listenUnix(_ path: String, backlog: CInt = 64) throws -> FileDescriptor {
  let type = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
  let descriptor = FileDescriptor(owning: try check("socket") { socket(AF_UNIX, type, 0) })
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
  try check("bind") {
    unsafe withUnsafePointer(to: address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe bind(descriptor.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
  try check("listen") { listen(descriptor.raw, backlog) }
  return descriptor
}

/// What a client is connected by.
enum Wire: CaseIterable {
  case unix, tcp

  /// A connected pair whose buffers are small.
  func pair() throws -> StreamPair {
    let pair = self == .unix ? try FileDescriptor.streamPair() : try Wire.tcpPair()
    // Below a segment of the loopback device TCP waits for timers.
    let size: CInt = self == .unix ? 1 : 65536
    for raw in [pair.left.raw, pair.right.raw] {
      setOption(raw, SOL_SOCKET, SO_SNDBUF, size)
      setOption(raw, SOL_SOCKET, SO_RCVBUF, size)
    }
    try pair.left.makeNonBlocking()
    return pair
  }

  private static func tcpPair() throws -> StreamPair {
    let listener = try Socket.listen(.v4, port: 0)
    let far = try connectLoopback(try Socket.localAddress(of: listener.raw).port)
    guard let near = try Socket.accept(from: listener.raw) else {
      throw SystemError("accept", EAGAIN)
    }
    return StreamPair(left: near.descriptor, right: far)
  }
}

func setOption(_ raw: CInt, _ level: CInt, _ option: CInt, _ value: CInt) {
  var value = value
  let size = socklen_t(MemoryLayout<CInt>.size)
  _ = unsafe setsockopt(raw, level, option, &value, size)
}

/// A TCP connection to this host.
///
/// - Parameter source: the port to connect from; 0 lets the kernel choose
func connectLoopback(
  _ port: UInt16, _ loopback: Loopback = .v4, from source: UInt16 = 0
) throws -> FileDescriptor {
  let address = SocketAddress(loopback, port: port)
  let raw = try check("socket") {
    socket(address.family, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  }
  let descriptor = FileDescriptor(owning: raw)
  setOption(raw, SOL_SOCKET, SO_REUSEADDR, 1)
  if source != 0 {
    let here = SocketAddress(loopback, port: source)
    try check("bind") { unsafe here.withPointer { unsafe bind(raw, $0, $1) } }
  }
  try check("connect \(port)") { unsafe address.withPointer { unsafe connect(raw, $0, $1) } }
  return descriptor
}

/// Another descriptor of the same, for what cannot be taken out of its owner.
func duplicate(_ raw: CInt) throws -> FileDescriptor {
  FileDescriptor(owning: try check("fcntl") { fcntl(raw, F_DUPFD_CLOEXEC, 0) })
}

/// The sockets and pipes that this process has open; what the runtime opens for itself is neither.
func openDescriptors() throws -> Int {
  try Directory.open("/proc/self/fd").names().count { name in
    var target = [CChar](repeating: 0, count: 64)
    let length = unsafe readlink("/proc/self/fd/\(name)", &target, target.count)
    let text = String(
      decoding: target.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.hasPrefix("socket:") || text.hasPrefix("pipe:")
  }
}

/// Lets this process open nothing more, until it is given back: for one that a test has for itself.
struct NoDescriptors {
  private var limit = rlimit()

  init() {
    unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    NoDescriptors.set(rlimit(rlim_cur: 3, rlim_max: limit.rlim_max))
  }

  func giveBack() { NoDescriptors.set(limit) }

  private static func set(_ limit: rlimit) {
    var limit = limit
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// A port that nobody holds on either loopback address, below those that the kernel gives out. As long
/// as this process lives no other call is given it, of another run of the tests on this machine neither.
func freePort() throws -> UInt16 {
  for _ in 0..<1000 {
    let port = UInt16.random(in: 20000..<30000)
    if try reserve(port), isFree(port) { return port }
  }
  throw SystemError("find a free port", EADDRINUSE)
}

/// Takes UDP's port of that number, which no test needs, and keeps it.
///
/// - Returns: whether nobody had it
private func reserve(_ port: UInt16) throws -> Bool {
  let address = SocketAddress(.v4, port: port)
  let raw = try check("socket") {
    socket(address.family, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
  }
  let sign = FileDescriptor(owning: raw)
  if unsafe address.withPointer({ unsafe bind(raw, $0, $1) }) != 0 { return false }
  _ = sign.release()
  return true
}

/// Whether nobody holds a port on either loopback address.
func isFree(_ port: UInt16) -> Bool {
  Loopback.allCases.allSatisfy { loopback in
    do throws(SystemError) {
      _ = try Socket.listen(loopback, port: port)
      return true
    } catch { return false }
  }
}
