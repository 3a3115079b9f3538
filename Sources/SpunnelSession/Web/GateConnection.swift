// One connection of a browser to a session, in a process of its own: what a broken request does ends it alone.

import Glibc
import SpunnelSystem

struct GateConnection {
  /// Milliseconds in which a request's head, and the key, must have come.
  private static let patience = 15_000
  private static let longestKey = 128

  private let client: CInt
  private let settings: GateSettings
  private let rules: GateRules
  /// The session's directory.
  private let path: String

  /// - Parameter client: blocking, and the caller's own
  init(_ client: CInt, _ settings: GateSettings, in path: String) {
    self.client = client
    self.settings = settings
    self.path = path
    rules = GateRules(cookie: settings.cookie, secret: settings.secret)
  }

  func serve() {
    guard let (head, rest) = readHead() else { return }
    guard let request = HTTPRequest(head: head) else {
      return answer(GatePages.failure("400 Bad Request", "this is no request of a browser"))
    }
    switch rules.decide(request) {
    case .refuse(let reason): answer(GatePages.refusal(reason))
    case .landing: answer(GatePages.landingPage())
    case .script: answer(GatePages.scriptPage())
    case .next: answer(GatePages.next(next, cookie: nil))
    case .enter: enter(request, rest)
    case .pass: pass(request, rest)
    }
  }

  /// - Returns: the head without its empty line, and what came behind it
  private func readHead() -> (head: [UInt8], rest: [UInt8])? {
    let deadline = Clock.milliseconds() + GateConnection.patience
    var bytes: [UInt8] = []
    while bytes.count <= HTTPRequest.longest {
      let searchFrom = max(0, bytes.count - 3)
      guard let more = read(until: deadline) else { return nil }
      bytes += more
      for index in searchFrom..<max(searchFrom, bytes.count - 3)
      where bytes[index] == 13 && Array(bytes[index..<(index + 4)]) == HTTPRequest.end {
        return (Array(bytes[..<index]), Array(bytes[(index + 4)...]))
      }
    }
    answer(GatePages.failure("431 Request Header Fields Too Large", "the request is too long"))
    return nil
  }

  /// - Returns: `nil` at the end, and when nothing comes in time
  private func read(until deadline: Int) -> [UInt8]? {
    var entry = pollfd(fd: client, events: Int16(POLLIN), revents: 0)
    let left = max(0, deadline - Clock.milliseconds())
    guard unsafe poll(&entry, 1, CInt(left)) == 1 else { return nil }
    var buffer = [UInt8](repeating: 0, count: 8192)
    let count = unsafe Glibc.read(client, &buffer, buffer.count)
    return count > 0 ? Array(buffer.prefix(count)) : nil
  }

  private func answer(_ bytes: [UInt8]) {
    _ = try? Socket.send(bytes, over: client)
    // A close(2) with unread bytes would reset the connection, and the answer with it.
    _ = shutdown(client, CInt(SHUT_WR))
    let deadline = Clock.milliseconds() + 2000
    while read(until: deadline) != nil {}
  }

  /// Where the session's page begins. The password is that of the newest attach.
  private var next: String {
    let place = GateSettings.placeholder
    guard settings.next.hasSuffix(place),
      let password = GateSettings.word(GateSettings.password, in: path)
    else { return settings.next }
    return settings.next.dropLast(place.count) + password
  }

  /// The key in the address is exchanged for the cookie.
  private func enter(_ request: HTTPRequest, _ rest: [UInt8]) {
    let deadline = Clock.milliseconds() + GateConnection.patience
    guard let length = request.value(of: "content-length").flatMap({ wholeNumber($0) }),
      length <= GateConnection.longestKey
    else { return answer(GatePages.refusal("this is no key")) }
    var body = rest
    while body.count < length, let more = read(until: deadline) { body += more }
    let key = GateSettings.word(GateSettings.key, in: path) ?? ""
    guard Secret.matches(body, Array(key.utf8)) else {
      return answer(GatePages.refusal("this key is not the newest"))
    }
    answer(GatePages.next(next, cookie: "\(settings.cookie)=\(settings.secret)"))
  }

  private func pass(_ request: HTTPRequest, _ rest: [UInt8]) {
    if let bridge = settings.bridge, request.isUpgrade {
      guard let answer = WebSocket.accept(request) else {
        return self.answer(GatePages.failure("400 Bad Request", "this is no WebSocket"))
      }
      return relay(to: bridge, rest, answer: answer, framed: true)
    }
    if let backend = settings.backend {
      let head = rules.forwarded(request, adding: settings.header)
      return relay(to: backend, head + rest)
    }
    guard let files = settings.files, request.method == "GET" else {
      return answer(GatePages.failure("404 Not Found", "there is no such page"))
    }
    answer(GatePages.file(request.path, in: files))
  }

  private func relay(
    to socket: String, _ first: [UInt8], answer: [UInt8] = [], framed: Bool = false
  ) {
    guard let service = try? Socket.connect(unix: socket) else {
      return self.answer(
        GatePages.failure("502 Bad Gateway", "the session's program does not answer"))
    }
    let flags = fcntl(client, F_GETFL)
    _ = fcntl(client, F_SETFL, flags | O_NONBLOCK)
    var relay = ByteRelay(
      browser: client, service: service.raw, first: first, answer: answer, framed: framed)
    relay.run()
  }
}
