// The messages of ssh's control socket (OpenSSH, PROTOCOL.mux), as far as a tunnel needs them.

/// Builds requests.
enum MultiplexRequest {
  private static let helloType: UInt32 = 0x0000_0001
  private static let openForward: UInt32 = 0x1000_0006
  private static let newStdioForward: UInt32 = 0x1000_0008
  /// The type of a forward from here to there.
  private static let localForward: UInt32 = 1
  /// Stands for a port where the host is the path of a unix socket.
  private static let pathInstead: UInt32 = 0xffff_fffe
  static let version: UInt32 = 4

  /// What each side says first.
  static var hello: [UInt8] {
    var hello = MultiplexWriter()
    hello.put(helloType)
    hello.put(version)
    return hello.packet
  }

  /// A request to take connections on a unix socket and to connect each to a port of the far host.
  ///
  /// - Parameters:
  ///   - path: where the socket is made, of mode 0600
  ///   - host: resolved by the far sshd
  ///   - port: of that host
  static func forward(path: String, host: String, port: Port) -> [UInt8] {
    var request = MultiplexWriter()
    request.put(openForward)
    request.put(0)
    request.put(localForward)
    request.put(path)
    request.put(pathInstead)
    request.put(host)
    request.put(UInt32(port.number))
    return request.packet
  }

  /// A request to connect a pair of descriptors to a port of the far host. The two follow as
  /// messages of one byte each, first the one that ssh reads from.
  ///
  /// - Parameters:
  ///   - host: resolved by the far sshd
  ///   - port: of that host
  static func connect(host: String, port: Port) -> [UInt8] {
    var request = MultiplexWriter()
    request.put(newStdioForward)
    request.put(0)
    request.put("")
    request.put(host)
    request.put(UInt32(port.number))
    return request.packet
  }
}

/// What ssh answers.
enum MultiplexReply: Equatable {
  case hello(version: UInt32)
  /// What was asked for is done.
  case done
  /// The far end is connected.
  case opened
  /// The far end could not be connected; ssh says why on its standard error.
  case failed(String)
  /// Another message, which does not matter here.
  case other(UInt32)
}

/// Puts replies together from the bytes as they come.
struct MultiplexReader {
  private static let longestPacket = 256 * 1024
  private var pending: [UInt8] = []

  /// A message that cannot be right: the control socket is not ssh's.
  struct Malformed: Error {}

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
    case 0x0000_0001:
      guard let version = number(packet, 4) else { throw Malformed() }
      return .hello(version: version)
    case 0x8000_0001: return .done
    case 0x8000_0006: return .opened
    case 0x8000_0002, 0x8000_0003:
      return .failed(string(packet, 8) ?? "refused")
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
