// The messages of ssh's control socket (OpenSSH, PROTOCOL.mux) that a tunnel needs.

import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// Builds requests.
enum MultiplexRequest {
  fileprivate static let helloType: UInt32 = 0x0000_0001
  private static let aliveCheck: UInt32 = 0x1000_0004
  private static let openForward: UInt32 = 0x1000_0006
  private static let closeForward: UInt32 = 0x1000_0007
  private static let newSession: UInt32 = 0x1000_0002
  private static let newStdioForward: UInt32 = 0x1000_0008
  /// The forward types `MUX_FWD_LOCAL` and `MUX_FWD_REMOTE`.
  private static let localForward: UInt32 = 1
  private static let remoteForward: UInt32 = 2
  /// The port number that marks a unix socket: the host field then holds its path
  /// (`PORT_STREAMLOCAL`).
  private static let pathInstead: UInt32 = 0xffff_fffe
  static let version: UInt32 = 4

  /// The message that each side sends first (`MUX_MSG_HELLO`).
  static var hello: [UInt8] {
    var hello = MultiplexWriter()
    hello.put(helloType)
    hello.put(version)
    return hello.packet
  }

  /// A request that asks whether ssh is alive (`MUX_C_ALIVE_CHECK`).
  static var alive: [UInt8] {
    var request = MultiplexWriter()
    request.put(aliveCheck)
    request.put(0)
    return request.packet
  }

  /// A forward as ssh knows it. The same fields open and close it.
  struct Forward: Equatable {
    fileprivate let type: UInt32
    fileprivate let listen: (host: String, port: UInt32)
    fileprivate let connect: (host: String, port: UInt32)

    /// A local forward: ssh listens on a unix socket of this host, and the far sshd makes each
    /// connection.
    ///
    /// - Parameters:
    ///   - path: of the socket that ssh makes, with mode 0600
    ///   - service: the target, as the far sshd finds it
    static func local(path: String, to service: Service) -> Forward {
      Forward(
        type: localForward, listen: (path, pathInstead),
        connect: words(service.end, service.host.description))
    }

    /// A remote forward: the far sshd listens, and ssh makes each connection on this host.
    ///
    /// - Parameters:
    ///   - listen: on the far host's loopback addresses; `free` lets its kernel choose a port
    ///   - loopback: the only address to listen on; `nil`: both, as far as they are available
    ///   - service: the target, as ssh finds it
    static func remote(
      listen: Endpoint, on loopback: Loopback? = nil, to service: Service
    ) -> Forward {
      Forward(
        type: remoteForward, listen: words(listen, loopback?.address ?? "localhost"),
        connect: words(service.end, service.host.description))
    }

    fileprivate static func words(_ end: Endpoint, _ host: String) -> (host: String, port: UInt32) {
      switch end {
      case .port(let port): (host, UInt32(port.number))
      case .path(let path): (path, pathInstead)
      case .free: (host, 0)
      }
    }

    static func == (left: Forward, right: Forward) -> Bool {
      left.type == right.type && left.listen == right.listen && left.connect == right.connect
    }
  }

  static func open(_ forward: Forward) -> [UInt8] { packet(openForward, forward) }

  static func close(_ forward: Forward) -> [UInt8] { packet(closeForward, forward) }

  private static func packet(_ kind: UInt32, _ forward: Forward) -> [UInt8] {
    var request = MultiplexWriter()
    request.put(kind)
    request.put(0)
    request.put(forward.type)
    for end in [forward.listen, forward.connect] {
      request.put(end.host)
      request.put(end.port)
    }
    return request.packet
  }

  /// A request to run a command on the far side without a terminal. Three descriptors follow, each
  /// in a message of one byte: standard input, output and error.
  static func session(_ command: String) -> [UInt8] {
    var request = MultiplexWriter()
    request.put(newSession)
    request.put(0)
    request.put("")
    // No terminal, no X11 forwarding, no agent, no subsystem, and no escape character.
    for number in [0, 0, 0, 0, 0xffff_fffe] as [UInt32] { request.put(number) }
    request.put("")
    request.put(command)
    return request.packet
  }

  /// A request to connect a pair of descriptors to a service. The two descriptors follow, each in a
  /// message of one byte. ssh reads from the first.
  ///
  /// - Parameter service: the target, as the far sshd finds it; `free` is port 0, where nothing can
  ///   listen
  static func connect(_ service: Service) -> [UInt8] {
    let end = Forward.words(service.end, service.host.description)
    var request = MultiplexWriter()
    request.put(newStdioForward)
    request.put(0)
    request.put("")
    request.put(end.host)
    request.put(end.port)
    return request.packet
  }
}

/// The target of a forward's connections.
struct Service: Hashable {
  let host: HostName
  let end: Endpoint
}

/// An answer of ssh.
enum MultiplexReply: Equatable {
  case hello(version: UInt32)
  /// The request is done.
  case done
  case alive
  /// The session is open: the far end is connected, or the command runs.
  case opened
  /// The request failed. If a connection failed, ssh writes the reason to its standard error.
  case failed(String)
  /// The port that the far host's kernel chose to listen on.
  case chosen(port: UInt32)
  /// A command on the far side ended with this status.
  case exited(UInt32)
  /// Any other message; it is ignored.
  case other(UInt32)
}

/// Assembles replies from the bytes as they arrive.
struct MultiplexReader {
  private static let ok: UInt32 = 0x8000_0001
  private static let permissionDenied: UInt32 = 0x8000_0002
  private static let failure: UInt32 = 0x8000_0003
  private static let alive: UInt32 = 0x8000_0005
  private static let sessionOpened: UInt32 = 0x8000_0006
  private static let remotePort: UInt32 = 0x8000_0007
  private static let exitMessage: UInt32 = 0x8000_0004
  private static let longestPacket = 256 * 1024
  private var pending: [UInt8] = []

  /// A message that ssh cannot have sent: the peer of the control socket is not ssh.
  struct Malformed: Error {}

  /// Takes more bytes.
  ///
  /// - Returns: the replies that are complete now, in order
  mutating func take(_ bytes: [UInt8]) throws(Malformed) -> [MultiplexReply] {
    pending += bytes
    var replies: [MultiplexReply] = []
    while let length = MultiplexReader.number(pending, 0) {
      if length > MultiplexReader.longestPacket { throw Malformed() }
      let end = 4 + Int(length)
      if pending.count < end { break }
      replies.append(try MultiplexReader.reply(Array(pending[4..<end])))
      pending.removeFirst(end)
    }
    return replies
  }

  private static func reply(_ packet: [UInt8]) throws(Malformed) -> MultiplexReply {
    guard let type = number(packet, 0) else { throw Malformed() }
    switch type {
    case MultiplexRequest.helloType:
      guard let version = number(packet, 4) else { throw Malformed() }
      return .hello(version: version)
    case ok: return .done
    case alive: return .alive
    case sessionOpened: return .opened
    case remotePort:
      guard let port = number(packet, 8) else { throw Malformed() }
      return .chosen(port: port)
    case exitMessage:
      guard let status = number(packet, 8) else { throw Malformed() }
      return .exited(status)
    case permissionDenied, failure: return .failed(string(packet, 8) ?? "refused")
    default: return .other(type)
    }
  }

  private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt32? {
    guard bytes.count >= offset + 4 else { return nil }
    return bytes[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
  }

  private static func string(_ bytes: [UInt8], _ offset: Int) -> String? {
    guard let length = number(bytes, offset), bytes.count - offset - 4 >= Int(length) else {
      return nil
    }
    return String(decoding: bytes[(offset + 4)...].prefix(Int(length)), as: UTF8.self)
  }
}

/// Writes numbers and strings in ssh's wire format (RFC 4251, section 5).
private struct MultiplexWriter {
  private var body: [UInt8] = []

  mutating func put(_ number: UInt32) { body += MultiplexWriter.bytes(number) }

  mutating func put(_ string: String) {
    put(UInt32(string.utf8.count))
    body += string.utf8
  }

  /// The message with its length before it.
  var packet: [UInt8] { MultiplexWriter.bytes(UInt32(body.count)) + body }

  private static func bytes(_ number: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
  }
}
