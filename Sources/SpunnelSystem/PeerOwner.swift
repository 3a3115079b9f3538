// The user who owns the other end of a loopback connection. Every user may ask the kernel
// (sock_diag(7)).

import CSystem
import Glibc

/// The owner of a peer, as the kernel reports it.
public enum PeerOwner: Equatable, Sendable {
  /// A process of this user has the socket open.
  case user(uid_t)
  /// The peer is gone or its process has closed it, so no user is responsible for it.
  case unknown
}

/// A netlink socket that is kept open for the questions.
public struct PeerLookup: ~Copyable {
  /// The index of the loopback interface in every network namespace (the kernel's
  /// `LOOPBACK_IFINDEX`).
  private static let loopbackInterface: UInt32 = 1

  private let netlink: FileDescriptor
  private var questions: UInt32 = 0

  /// Opens the netlink socket.
  public init() throws(SystemError) {
    let type = CInt(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue)
    netlink = FileDescriptor(
      owning: try check("socket NETLINK_SOCK_DIAG") { socket(AF_NETLINK, type, NETLINK_SOCK_DIAG) })
  }

  /// Finds the owner of the far end of an accepted connection. The kernel answers within the send
  /// call, so nothing waits.
  ///
  /// A client can connect, send and reset before we accept. Its source port is then free, and
  /// another user's socket may take it: the kernel would report that user. But while our end is
  /// open, no other client can connect to it from that port. So we check after the question that
  /// our end is still open.
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
    // If its process has closed a socket, the socket has no inode. Older kernels then report uid 0,
    // which does not mean root. Linux 6.17 and later still report the owner.
    if found.idiag_inode == 0 && found.idiag_uid == 0 { return .unknown }
    return .user(found.idiag_uid)
  }

  /// Whether no process has the far end of a connection open, so that no process can read from it.
  /// If the kernel gives no answer, the result is false: a kernel without tcp_diag never answers.
  ///
  /// - Parameters:
  ///   - peer: the far end's address
  ///   - local: this end's address
  public mutating func isClosed(peer: SocketAddress, local: SocketAddress) -> Bool {
    do throws(SystemError) {
      return try far(peer: peer, local: local)?.idiag_inode == 0
    } catch { return false }
  }

  /// Checks that the kernel answers at all. Without the module tcp_diag it gives the same answer as
  /// for a closed socket, and no user could ever be admitted.
  ///
  /// - Parameter kind: the IP protocol; tests use another than TCP
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
  ///   - peer: the far end's address, which is the local address of the socket to find
  ///   - local: this end's address
  /// - Returns: `nil` if there is no such socket
  private mutating func far(
    peer: SocketAddress, local: SocketAddress
  ) throws(SystemError) -> inet_diag_msg? {
    // The kernel sends ENOENT as an error message if the peer's socket is gone.
    guard let found = try ask(peer, local) else { return nil }
    // If the connection is gone, the kernel reports a listener on the same port instead. A socket
    // that is still connecting is not the far end of an accepted connection either.
    guard found.id.idiag_sport == peer.port.bigEndian,
      found.id.idiag_dport == local.port.bigEndian,
      !Reply.unconnected.contains(found.idiag_state)
    else { return nil }
    return found
  }

  /// Asks the kernel for a socket.
  ///
  /// - Returns: the socket that is bound to `peer` and connected to `local`; `nil` if there is none
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
    // This also finds sockets that are bound to no interface (socket(7), SO_BINDTODEVICE).
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

  /// Receives the answer to the last question, and skips answers to earlier ones.
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
    /// The states `TCP_SYN_SENT`, `TCP_SYN_RECV`, `TCP_LISTEN` and `TCP_NEW_SYN_RECV` of the
    /// kernel's tcp_states.h.
    static let unconnected: Set<UInt8> = [2, 3, 10, 12]
    var header = nlmsghdr()
    var message = inet_diag_msg()
  }
}

extension SocketAddress {
  /// Copies the address alone in network byte order: 4 or 16 bytes.
  fileprivate func copyAddress(to target: UnsafeMutableRawBufferPointer) {
    if family == AF_INET6 {
      withV6 { unsafe target.storeBytes(of: $0.sin6_addr, as: in6_addr.self) }
    } else {
      withV4 { unsafe target.storeBytes(of: $0.sin_addr, as: in_addr.self) }
    }
  }
}
