// Whether the srun of an attach step still lives: seen by the node, whatever became of the login host.

import CSystem
import Glibc
import SpunnelSystem

/// A connection to the port on which srun serves its terminal's size (`SLURM_PTY_PORT`).
///
/// slurmstepd lets a step with a terminal go on when its srun was killed, so tmux's client would stay as a
/// ghost. srun accepts one connection there, slurmstepd's. This second one waits in the kernel's queue for
/// as long as srun lives: it costs srun nothing, and its end is srun's end. TCP's keepalive finds a cut
/// network and a dead login host.
final class SrunLife {
  /// The connection, `nil` when there is none.
  private let raw: CInt?

  init() {
    guard let host = Process.environment("SLURM_LAUNCH_NODE_IPADDR"),
      let port = Process.environment("SLURM_PTY_PORT").flatMap({ UInt16($0) })
    else {
      raw = nil
      return
    }
    raw = SrunLife.connect(host, port)?.release()
  }

  deinit { if let raw { _ = close(raw) } }

  /// Waits for input on a descriptor.
  ///
  /// - Parameter milliseconds: the longest wait; negative: for ever
  /// - Returns: false when srun is gone
  func waits(with other: borrowing FileDescriptor, milliseconds: Int = -1) -> Bool {
    var entries = [pollfd(fd: other.raw, events: Int16(POLLIN), revents: 0)]
    if let raw { entries.append(pollfd(fd: raw, events: Int16(POLLIN), revents: 0)) }
    let count = unsafe poll(&entries, nfds_t(entries.count), CInt(milliseconds))
    // srun writes nothing there: whatever can be read is the end.
    return count < 0 || entries.count < 2 || entries[1].revents == 0
  }

  /// Connects within two seconds, or not at all: a firewall may stand between.
  private static func connect(_ host: String, _ port: UInt16) -> FileDescriptor? {
    let family = host.contains(":") ? AF_INET6 : AF_INET
    guard
      let connection = try? FileDescriptor(
        owning: check("socket") {
          socket(
            family, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        })
    else { return nil }
    let begun =
      family == AF_INET6 ? start6(connection.raw, host, port) : start4(connection.raw, host, port)
    guard begun, isConnected(connection.raw) else { return nil }
    keepAlive(connection.raw)
    return connection
  }

  private static func start4(_ socket: CInt, _ host: String, _ port: UInt16) -> Bool {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    guard unsafe inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return false }
    return start(socket, address)
  }

  private static func start6(_ socket: CInt, _ host: String, _ port: UInt16) -> Bool {
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = port.bigEndian
    guard unsafe inet_pton(AF_INET6, host, &address.sin6_addr) == 1 else { return false }
    return start(socket, address)
  }

  private static func start<Address>(_ socket: CInt, _ address: Address) -> Bool {
    let result = unsafe withUnsafeBytes(of: address) { bytes in
      unsafe bytes.baseAddress.map {
        unsafe Glibc.connect(
          socket, $0.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
      } ?? -1
    }
    return result == 0 || errno == EINPROGRESS
  }

  private static func isConnected(_ socket: CInt) -> Bool {
    var entry = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
    guard unsafe poll(&entry, 1, 2000) == 1 else { return false }
    var error: CInt = 0
    var size = socklen_t(MemoryLayout<CInt>.size)
    return unsafe getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0
  }

  /// A peer that says nothing for half a minute is gone.
  private static func keepAlive(_ socket: CInt) {
    for (level, option, value) in [
      (SOL_SOCKET, SO_KEEPALIVE, 1), (CInt(IPPROTO_TCP), TCP_KEEPIDLE, 10),
      (CInt(IPPROTO_TCP), TCP_KEEPINTVL, 5), (CInt(IPPROTO_TCP), TCP_KEEPCNT, 4),
    ] as [(CInt, CInt, CInt)] {
      var value = value
      _ = unsafe setsockopt(socket, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
    }
  }
}
