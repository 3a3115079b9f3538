// Which user owns the other end of a loopback connection: sock_diag(7), open to every user.

import CSystem
import Glibc

/// What the kernel says about a peer.
public enum PeerOwner: Equatable, Sendable {
  /// A process of this user has the socket open.
  case user(uid_t)
  /// The peer is gone or was closed by its process, so nobody can be held to it.
  case unknown
}

/// A netlink socket kept open for the question.
public struct PeerLookup: ~Copyable {
  /// The kernel's `LOOPBACK_IFINDEX`, in every network namespace.
  private static let loopbackInterface: UInt32 = 1

  private let netlink: FileDescriptor
  private var questions: UInt32 = 0

  public init() throws(SystemError) {
    let type = CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue)
    netlink = FileDescriptor(
      owning: try check("socket NETLINK_SOCK_DIAG") { socket(AF_NETLINK, type, NETLINK_SOCK_DIAG) })
  }

  /// Asks for the socket at the far end of an accepted connection. The kernel answers within the
  /// send call, so nothing waits.
  ///
  /// Whoever connects, sends and resets leaves a connection to be accepted with his bytes in it, and a
  /// source port that is somebody else's a moment later: the kernel then tells of that one's socket.
  /// As long as this end lives no other client can be connected to it from there, so it is looked at
  /// afterwards whether it lives.
  public mutating func owner(
    of accepted: borrowing AcceptedSocket
  ) throws(SystemError) -> PeerOwner {
    let found = try owner(peer: accepted.peer, local: accepted.local)
    return accepted.descriptor.isHungUp() ? .unknown : found
  }

  private mutating func owner(
    peer: SocketAddress, local: SocketAddress
  ) throws(SystemError) -> PeerOwner {
    guard let found = try far(peer: peer, local: local) else { return .unknown }
    // A socket without an inode has been closed by its process; older kernels then say uid 0,
    // which is not root. A uid that is still told (Linux 6.17 and later) is the owner's.
    if found.idiag_inode == 0 && found.idiag_uid == 0 { return .unknown }
    return .user(found.idiag_uid)
  }

  /// Whether no process has the far end of a connection open any more, so that nobody can read from it.
  /// A kernel that has no answer has none about its own lack of answers either: that is no `true`.
  ///
  /// - Parameters:
  ///   - peer: the far end's address
  ///   - local: this end's address
  public mutating func isClosed(peer: SocketAddress, local: SocketAddress) -> Bool {
    do throws(SystemError) {
      return try far(peer: peer, local: local)?.idiag_inode == 0
    } catch { return false }
  }

  /// Finds out whether the kernel answers at all: one that lacks tcp_diag says the same as of a socket that is
  /// gone, and nobody could ever be let in.
  ///
  /// - Parameter kind: of IP; another than TCP for tests
  /// - Throws: `ENOPROTOOPT`
  public static func verify(protocol kind: CInt = CInt(IPPROTO_TCP)) throws(SystemError) {
    let operation =
      "ask the kernel who connects (is its module tcp_diag missing? load it with modprobe tcp_diag, or set "
      + "access=host in plugstack.conf)"
    var lookup: PeerLookup
    do throws(SystemError) { lookup = try PeerLookup() } catch {
      throw SystemError(operation, error.code)
    }
    for loopback in Loopback.allCases {
      guard let listener = try? Socket.listen(loopback, port: 0) else { continue }
      let here = try Socket.localAddress(of: listener.raw)
      let nowhere = SocketAddress(loopback, port: 0)
      if try lookup.ask(here, nowhere, kind) != nil { return }
      throw SystemError(operation, ENOPROTOOPT)
    }
  }

  /// Asks for the socket at the far end of a connection.
  ///
  /// - Parameters:
  ///   - peer: the far end's address, the source of the socket that is looked up
  ///   - local: this end's address
  /// - Returns: `nil` when there is none
  private mutating func far(
    peer: SocketAddress, local: SocketAddress
  ) throws(SystemError) -> inet_diag_msg? {
    // ENOENT comes as an error message: the peer's socket is gone.
    guard let found = try ask(peer, local) else { return nil }
    // The kernel falls back to a listener on the same port when the connection is gone; and who still
    // connects is not at the other end of what was accepted.
    guard found.id.idiag_sport == peer.port.bigEndian,
      found.id.idiag_dport == local.port.bigEndian,
      !Reply.unconnected.contains(found.idiag_state)
    else { return nil }
    return found
  }

  /// - Returns: what the kernel tells of the socket at one address that is connected to the other
  private mutating func ask(
    _ peer: SocketAddress, _ local: SocketAddress, _ kind: CInt = CInt(IPPROTO_TCP)
  ) throws(SystemError) -> inet_diag_msg? {
    questions &+= 1
    var request = Request()
    request.header.nlmsg_seq = questions
    request.query.sdiag_family = UInt8(peer.family)
    request.query.sdiag_protocol = UInt8(kind)
    request.query.idiag_states = .max
    request.query.id.idiag_sport = peer.port.bigEndian
    request.query.id.idiag_dport = local.port.bigEndian
    request.query.id.idiag_cookie = (.max, .max)
    // Sockets that are bound to no interface are found as well (socket(7), SO_BINDTODEVICE).
    request.query.id.idiag_if = PeerLookup.loopbackInterface
    unsafe withUnsafeMutableBytes(of: &request.query.id.idiag_src) {
      unsafe peer.copyAddress(to: $0)
    }
    unsafe withUnsafeMutableBytes(of: &request.query.id.idiag_dst) {
      unsafe local.copyAddress(to: $0)
    }
    let size = MemoryLayout<Request>.size
    try check("send NETLINK_SOCK_DIAG") {
      unsafe withUnsafeBytes(of: request) { unsafe send(netlink.raw, $0.baseAddress, size, 0) }
    }
    return try receive()
  }

  /// Takes the answer to the last question, passing over what may be left of an earlier one.
  private borrowing func receive() throws(SystemError) -> inet_diag_msg? {
    var reply = Reply()
    var count = 0
    repeat {
      count = try check("recv NETLINK_SOCK_DIAG") {
        unsafe withUnsafeMutableBytes(of: &reply) {
          unsafe recv(netlink.raw, $0.baseAddress, $0.count, CInt(MSG_DONTWAIT))
        }
      }
    } while reply.header.nlmsg_seq != questions
    guard count >= MemoryLayout<Reply>.size, reply.header.nlmsg_type == UInt16(SOCK_DIAG_BY_FAMILY)
    else { return nil }
    return reply.message
  }

  private struct Request {
    var header = nlmsghdr(
      nlmsg_len: UInt32(MemoryLayout<Request>.size), nlmsg_type: UInt16(SOCK_DIAG_BY_FAMILY),
      nlmsg_flags: UInt16(NLM_F_REQUEST), nlmsg_seq: 0, nlmsg_pid: 0)
    var query = inet_diag_req_v2()
  }

  private struct Reply {
    /// `TCP_SYN_SENT`, `TCP_SYN_RECV`, `TCP_LISTEN` and `TCP_NEW_SYN_RECV` of the kernel's tcp_states.h.
    static let unconnected: Set<UInt8> = [2, 3, 10, 12]
    var header = nlmsghdr()
    var message = inet_diag_msg()
  }
}

extension SocketAddress {
  /// Copies the address alone, in network order: 4 or 16 bytes.
  fileprivate func copyAddress(to target: UnsafeMutableRawBufferPointer) {
    if family == AF_INET6 {
      withV6 { unsafe target.storeBytes(of: $0.sin6_addr, as: in6_addr.self) }
    } else {
      withV4 { unsafe target.storeBytes(of: $0.sin_addr, as: in_addr.self) }
    }
  }
}
