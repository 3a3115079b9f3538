// The SOCKS dialogue before a client's bytes: version 5 without authentication (RFC 1928), and
// version 4 with host names (4a). Only CONNECT is supported. No byte beyond the request is read.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// The next step of a SOCKS dialogue.
enum SocksStep: Equatable {
  /// At least this many more bytes are needed.
  case more(Int)
  /// An answer to send; then the dialogue goes on.
  case answer([UInt8])
  case connect(HostName, Port)
  /// The last answer to send; then the connection ends.
  case refuse([UInt8])
}

/// The bytes that one client has sent so far. Ask for the next step after each.
struct SocksRequest {
  /// The maximum length of a user name or host name in version 4.
  private static let longestName = 255
  private var bytes: [UInt8] = []
  private var hasGreeted = false
  private(set) var version: UInt8 = 0

  mutating func take(_ more: [UInt8]) { bytes += more }

  /// The next step.
  ///
  /// - Returns: `nil` if the bytes are not SOCKS
  mutating func next() -> SocksStep? {
    guard let first = bytes.first else { return .more(1) }
    version = first
    switch first {
    case 5: return hasGreeted ? request() : greeting()
    case 4: return oldRequest()
    default: return nil
    }
  }

  private mutating func greeting() -> SocksStep {
    guard bytes.count >= 2 else { return .more(2 - bytes.count) }
    let end = 2 + Int(bytes[1])
    guard bytes.count >= end else { return .more(end - bytes.count) }
    let offers = bytes[2..<end]
    bytes.removeFirst(end)
    hasGreeted = true
    // 0: no authentication; 0xff: no offered method is acceptable
    return offers.contains(0) ? .answer([5, 0]) : .refuse([5, 0xff])
  }

  private func request() -> SocksStep? {
    guard bytes.count >= 5 else { return .more(5 - bytes.count) }
    guard bytes[1] == 1 else { return .refuse(SocksRequest.reply(7)) }
    let start: Int
    let length: Int
    switch bytes[3] {
    case 1: (start, length) = (4, 4)
    case 3: (start, length) = (5, Int(bytes[4]))
    case 4: (start, length) = (4, 16)
    default: return .refuse(SocksRequest.reply(8))
    }
    let end = start + length + 2
    guard bytes.count >= end else { return .more(end - bytes.count) }
    let address = Array(bytes[start..<start + length])
    let name = bytes[3] == 3 ? String(decoding: address, as: UTF8.self) : numeric(address)
    return target(name, port: bytes[end - 2..<end]) ?? .refuse(SocksRequest.reply(4))
  }

  private func oldRequest() -> SocksStep? {
    guard bytes.count >= 9 else { return .more(9 - bytes.count) }
    guard bytes[1] == 1 else { return .refuse(SocksRequest.oldReply(false)) }
    guard let user = terminated(from: 8) else {
      return bytes.count - 8 > SocksRequest.longestName ? nil : .more(1)
    }
    var name = numeric(Array(bytes[4..<8]))
    // Address 0.0.0.x: the host name follows the user name.
    if bytes[4..<7].allSatisfy({ $0 == 0 }), bytes[7] != 0 {
      guard let end = terminated(from: user + 1) else {
        return bytes.count - user > SocksRequest.longestName ? nil : .more(1)
      }
      name = String(decoding: bytes[(user + 1)..<end], as: UTF8.self)
    }
    return target(name, port: bytes[2..<4]) ?? .refuse(SocksRequest.oldReply(false))
  }

  private func terminated(from start: Int) -> Int? {
    start < bytes.count ? bytes[start...].firstIndex(of: 0) : nil
  }

  private func target(_ name: String, port: ArraySlice<UInt8>) -> SocksStep? {
    let number = port.reduce(UInt16(0)) { $0 << 8 | UInt16($1) }
    guard let host = HostName(name), let port = Port(number) else { return nil }
    return .connect(host, port)
  }

  private func numeric(_ address: [UInt8]) -> String {
    if address.count == 4 { return address.map { String($0) }.joined(separator: ".") }
    return stride(from: 0, to: 16, by: 2).map { index in
      String(UInt16(address[index]) << 8 | UInt16(address[index + 1]), radix: 16)
    }.joined(separator: ":")
  }

  /// The reply that lets the client go on or refuses it, in the client's version.
  func verdict(_ isAllowed: Bool) -> [UInt8] {
    // 2: not allowed by ruleset
    version == 4 ? SocksRequest.oldReply(isAllowed) : SocksRequest.reply(isAllowed ? 0 : 2)
  }

  private static func reply(_ code: UInt8) -> [UInt8] { [5, code, 0, 1, 0, 0, 0, 0, 0, 0] }

  private static func oldReply(_ isGranted: Bool) -> [UInt8] {
    [0, isGranted ? 0x5a : 0x5b, 0, 0, 0, 0, 0, 0]
  }
}

/// One client until it has named its target.
final class SocksGreeting: EventHandler {
  let route: Route
  private let loop: EventLoop
  private var client: FileDescriptor?
  private var request = SocksRequest()
  private let patience: Int
  private let resolve: (HostName, Port) -> Route?
  private var done: ((SocksGreeting, consuming FileDescriptor?, Route?) -> Void)?
  private var deadline: EventLoop.Timer?

  /// Takes an accepted client; `start` begins.
  ///
  /// - Parameters:
  ///   - client: accepted and admitted
  ///   - route: the SOCKS entrance on which it arrived
  ///   - patience: milliseconds that the dialogue may take
  ///   - resolve: returns the route to a named host; `nil` if the client may not go there
  ///   - done: called once with the client and its route; without a route if the dialogue failed
  init(
    _ loop: EventLoop, _ client: consuming FileDescriptor, _ route: Route, patience: Int,
    resolve: @escaping (HostName, Port) -> Route?,
    done: @escaping (SocksGreeting, consuming FileDescriptor?, Route?) -> Void
  ) {
    self.loop = loop
    self.client = consume client
    self.route = route
    self.patience = patience
    self.resolve = resolve
    self.done = done
  }

  func start() {
    guard let raw = client?.raw else { return }
    do throws(SystemError) {
      try loop.add(raw, [.input], self)
      deadline = loop.after(milliseconds: patience) { [weak self] in self?.cut() }
    } catch { cut() }
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      while let step = request.next() {
        switch step {
        case .more(let count):
          guard let bytes = try client?.read(atMost: count) else { return }
          if bytes.isEmpty { return cut() }
          request.take(bytes)
        case .answer(let bytes): try client?.writeAll(bytes)
        case .refuse(let bytes):
          try client?.writeAll(bytes)
          return finish(nil)
        case .connect(let host, let port):
          let target = resolve(host, port)
          try client?.writeAll(request.verdict(target != nil))
          return finish(target)
        }
      }
    } catch {}
    cut()
  }

  func cut() {
    if let raw = client?.raw { Socket.resetOnClose(raw) }
    finish(nil, answers: false)
  }

  private func finish(_ target: Route?, answers: Bool = true) {
    guard let done else { return }
    self.done = nil
    loop.cancel(deadline)
    if let raw = client?.raw {
      loop.remove(raw)
      // The client must be able to read the whole refusal.
      if target == nil && answers { Socket.endOnClose(raw) }
    }
    done(self, client.take(), target)
  }
}
