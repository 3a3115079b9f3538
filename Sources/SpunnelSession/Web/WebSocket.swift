// A WebSocket as noVNC speaks it (RFC 6455): binary frames that carry the bytes of a unix socket.

/// The server's side of the handshake, and frames to the browser.
enum WebSocket {
  enum Code {
    static let continuation: UInt8 = 0
    static let binary: UInt8 = 2
    static let close: UInt8 = 8
    static let ping: UInt8 = 9
    static let pong: UInt8 = 10
  }

  /// - Returns: the answer's head, `nil` when the request is no handshake of version 13
  static func accept(_ request: HTTPRequest) -> [UInt8]? {
    guard request.method == "GET", request.value(of: "upgrade")?.lowercased() == "websocket",
      request.value(of: "sec-websocket-version") == "13",
      let key = request.value(of: "sec-websocket-key"), key.utf8.count == 24
    else { return nil }
    var lines = [
      "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Accept: " + answer(to: key),
    ]
    let protocols = request.value(of: "sec-websocket-protocol")?.split(separator: ",") ?? []
    if protocols.contains(where: { $0.filter { $0 != " " } == "binary" }) {
      lines.append("Sec-WebSocket-Protocol: binary")
    }
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }

  static func answer(to key: String) -> String {
    SHA1.base64(SHA1.digest(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
  }

  /// One whole frame, unmasked as a server's are.
  static func frame(_ code: UInt8, _ payload: [UInt8]) -> [UInt8] {
    var head: [UInt8] = [0x80 | code]
    switch payload.count {
    case ..<126: head.append(UInt8(payload.count))
    case ..<65536: head += [126, UInt8(payload.count >> 8), UInt8(payload.count & 0xff)]
    default:
      head += [127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
    }
    return head + payload
  }
}

/// Reads the browser's frames as they come. Data is handed on before its frame is whole.
struct WebSocketReader {
  /// What came out of some bytes.
  struct Output: Equatable {
    var data: [UInt8] = []
    /// Frames to send back.
    var replies: [UInt8] = []
    /// The browser ends the connection, or breaks the protocol.
    var isOver = false
  }

  private var head: [UInt8] = []
  private var code: UInt8 = 0
  private var mask: [UInt8] = []
  private var left = 0
  private var position = 0
  private var control: [UInt8] = []
  private var isInFrame = false

  mutating func take(_ bytes: [UInt8]) -> Output {
    var output = Output()
    var rest = bytes[...]
    while !output.isOver, !rest.isEmpty || isInFrame && left == 0 {
      if !isInFrame {
        head.append(rest.removeFirst())
        guard let size = headSize() else { continue }
        if head.count == size { beginFrame(&output) }
      }
      if isInFrame { takePayload(&rest, &output) }
    }
    return output
  }

  /// The size of the head that has begun, `nil` until it is known.
  private func headSize() -> Int? {
    guard head.count >= 2 else { return nil }
    switch head[1] & 0x7f {
    case 126: return 8
    case 127: return 14
    default: return 6
    }
  }

  private mutating func beginFrame(_ output: inout Output) {
    code = head[0] & 0x0f
    let short = Int(head[1] & 0x7f)
    let lengthEnd = head.count - 4
    let length =
      short < 126 ? UInt64(short) : head[2..<lengthEnd].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    mask = Array(head[lengthEnd...])
    let isMasked = head[1] & 0x80 != 0
    let hasReserved = head[0] & 0x70 != 0
    let isControl = code & 8 != 0
    let isKnown = [0, 2, 8, 9, 10].contains(code)
    let isWhole = !isControl || length < 126 && head[0] & 0x80 != 0
    head = []
    guard isMasked, !hasReserved, isKnown, isWhole, length < 1 << 40 else {
      return output.isOver = true
    }
    left = Int(length)
    position = 0
    control = []
    isInFrame = true
  }

  private mutating func takePayload(_ rest: inout ArraySlice<UInt8>, _ output: inout Output) {
    let part = rest.prefix(left)
    rest = rest.dropFirst(part.count)
    left -= part.count
    var plain: [UInt8] = []
    plain.reserveCapacity(part.count)
    for byte in part {
      plain.append(byte ^ mask[position & 3])
      position += 1
    }
    if code & 8 == 0 { output.data += plain } else { control += plain }
    guard left == 0 else { return }
    isInFrame = false
    switch code {
    case WebSocket.Code.close:
      output.replies += WebSocket.frame(WebSocket.Code.close, control)
      output.isOver = true
    case WebSocket.Code.ping:
      output.replies += WebSocket.frame(WebSocket.Code.pong, control)
    default: break
    }
  }
}
