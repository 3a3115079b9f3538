// Bytes between two connections, both ways, until the far one ends.

import Glibc
import SpunnelSystem

/// Serves one connection of the gate. It owns neither descriptor; both are non-blocking.
struct ByteRelay {
  /// Bytes that may wait for a slow reader.
  private static let room = 1 << 18
  private static let piece = 1 << 16

  /// One direction.
  private struct Way {
    let from: CInt
    let to: CInt
    var pending: [UInt8] = []
    var isEnded = false
    var isClosed = false

    var wants: Bool { !isEnded && pending.count < ByteRelay.room }
  }

  private var toService: Way
  private var toBrowser: Way
  /// `nil`: bytes pass as they are.
  private var reader: WebSocketReader?

  /// - Parameters:
  ///   - first: what goes to the service before anything else
  ///   - answer: what goes to the browser before anything else
  ///   - framed: whether the browser's side is a WebSocket's frames
  init(browser: CInt, service: CInt, first: [UInt8], answer: [UInt8] = [], framed: Bool = false) {
    toService = Way(from: browser, to: service, pending: framed ? [] : first)
    toBrowser = Way(from: service, to: browser, pending: answer)
    if framed {
      reader = WebSocketReader()
      takeFromBrowser(first)
    }
  }

  /// Runs until the service has ended, or either side is broken.
  mutating func run() {
    while !toBrowser.isClosed {
      let wanted = [events(toService, toBrowser), events(toBrowser, toService)]
      if wanted.allSatisfy({ $0 == 0 }) { return }
      // poll(2) reports a peer's end whatever is asked for: a side of which nothing is wanted is left out.
      var entries = [
        pollfd(fd: wanted[0] == 0 ? -1 : toService.from, events: wanted[0], revents: 0),
        pollfd(fd: wanted[1] == 0 ? -1 : toService.to, events: wanted[1], revents: 0),
      ]
      let count = unsafe poll(&entries, 2, -1)
      if count < 0 && errno != EINTR { return }
      guard readBrowser(entries[0]), readService(entries[1]), ByteRelay.write(&toService),
        ByteRelay.write(&toBrowser)
      else { return }
    }
  }

  private func events(_ reading: Way, _ writing: Way) -> Int16 {
    (reading.wants ? Int16(POLLIN) : 0) | (writing.pending.isEmpty ? 0 : Int16(POLLOUT))
  }

  private mutating func readBrowser(_ entry: pollfd) -> Bool {
    guard let bytes = ByteRelay.read(&toService, entry) else { return false }
    if reader == nil { toService.pending += bytes } else { takeFromBrowser(bytes) }
    return true
  }

  private mutating func readService(_ entry: pollfd) -> Bool {
    guard let bytes = ByteRelay.read(&toBrowser, entry) else { return false }
    if reader == nil {
      toBrowser.pending += bytes
    } else if !bytes.isEmpty {
      toBrowser.pending += WebSocket.frame(WebSocket.Code.binary, bytes)
    } else if toBrowser.isEnded {
      toBrowser.pending += WebSocket.frame(WebSocket.Code.close, [])
    }
    return true
  }

  private mutating func takeFromBrowser(_ bytes: [UInt8]) {
    guard let output = reader?.take(bytes) else { return }
    toService.pending += output.data
    toBrowser.pending += output.replies
    if output.isOver { toService.isEnded = true }
  }

  /// - Returns: what has come, `nil` when the connection is broken
  private static func read(_ way: inout Way, _ entry: pollfd) -> [UInt8]? {
    guard way.wants, entry.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 else { return [] }
    var buffer = [UInt8](repeating: 0, count: piece)
    let count = unsafe Glibc.read(way.from, &buffer, buffer.count)
    if count < 0 { return errno == EAGAIN || errno == EINTR ? [] : nil }
    if count == 0 { way.isEnded = true }
    return Array(buffer.prefix(count))
  }

  /// - Returns: false when the connection is broken
  private static func write(_ way: inout Way) -> Bool {
    while !way.pending.isEmpty {
      let (bytes, to) = (way.pending, way.to)
      let count = unsafe bytes.withUnsafeBytes {
        unsafe send(to, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
      }
      if count < 0 { return errno == EAGAIN || errno == EINTR }
      way.pending.removeFirst(count)
    }
    if way.isEnded, !way.isClosed {
      _ = shutdown(way.to, CInt(SHUT_WR))
      way.isClosed = true
    }
    return true
  }
}
