// The keeper's end of its lifeline: reports go out, and its other end's going is heard.

import Glibc
import SpunnelSystem

final class Lifeline: EventHandler {
  private let loop: EventLoop
  private var socket: FileDescriptor?
  /// Of reports: what had no room yet.
  private var unsent: ArraySlice<UInt8> = []
  private let ended: () -> Void

  /// - Parameters:
  ///   - socket: connected to whoever started the keeper; it no longer blocks: an srun that does not wait
  ///     for its tunnel reads nothing before its end
  ///   - ended: told once, when the other end is gone
  init(
    _ loop: EventLoop, _ socket: consuming FileDescriptor, ended: @escaping () -> Void
  ) throws(SystemError) {
    self.loop = loop
    self.ended = ended
    try socket.makeNonBlocking()
    let raw = socket.raw
    self.socket = consume socket
    try loop.add(raw, [.input], self)
  }

  /// Tells whoever holds the other end. That nobody does is no news.
  func say(_ report: KeeperReport) {
    if socket == nil { return }
    let waited = !unsent.isEmpty
    unsent += Array(report.line.utf8)
    send()
    if !waited && !unsent.isEmpty { watch([.input, .output]) }
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if readiness.contains(.output) && !unsent.isEmpty {
      send()
      if unsent.isEmpty { watch([.input]) }
    }
    // Its holder sends nothing: whatever comes here is its end.
    if readiness.subtracting(.output).isEmpty || socket == nil { return }
    loop.remove(descriptor)
    ended()
  }

  /// Says no more and lets the other end know.
  func close() {
    if let raw = socket?.raw { loop.remove(raw) }
    socket = nil
    unsent = []
  }

  private func send() {
    guard let raw = socket?.raw else { return }
    while !unsent.isEmpty {
      do throws(SystemError) {
        unsent = unsent.dropFirst(
          try check("write") {
            unsafe unsent.withUnsafeBytes { unsafe write(raw, $0.baseAddress, $0.count) }
          })
      } catch {
        if error.code != EAGAIN { unsent = [] }
        return
      }
    }
  }

  private func watch(_ readiness: Readiness) {
    guard let raw = socket?.raw else { return }
    loop.remove(raw)
    // Without it the rest goes out with the next report.
    try? loop.add(raw, readiness, self)
  }
}
