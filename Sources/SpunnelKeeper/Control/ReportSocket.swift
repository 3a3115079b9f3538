// One connected socket of the keeper's: reports go out, and what comes in is heard.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class ReportSocket: EventHandler {
  private let loop: EventLoop
  private var socket: FileDescriptor?
  /// Of reports: what had no room yet. It holds nobody up.
  private var unsent: ArraySlice<UInt8> = []
  /// `nil` once nobody wants to hear more.
  private var heard: (() -> Void)?

  /// - Parameters:
  ///   - socket: connected; it no longer blocks
  ///   - heard: told when there is something to read, its end included
  init(
    _ loop: EventLoop, _ socket: consuming FileDescriptor, heard: @escaping () -> Void
  ) throws(SystemError) {
    self.loop = loop
    self.heard = heard
    try socket.makeNonBlocking()
    let raw = socket.raw
    self.socket = consume socket
    try loop.add(raw, [.input], self)
  }

  var isOpen: Bool { socket != nil }

  /// Bytes that were said and not sent.
  var backlog: Int { unsent.count }

  /// Tells whoever holds the other end. That nobody does is no news.
  func say(_ report: KeeperReport) {
    if socket == nil { return }
    let waited = !unsent.isEmpty
    unsent += Array(report.line.utf8)
    send()
    if waited == unsent.isEmpty { watch() }
  }

  /// - Returns: what is there, empty at its end, `nil` when that is nothing
  func read(atMost limit: Int) throws(SystemError) -> [UInt8]? {
    try socket?.read(atMost: limit)
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if readiness.contains(.output) && !unsent.isEmpty {
      send()
      if unsent.isEmpty { watch() }
    }
    if !readiness.subtracting(.output).isEmpty { heard?() }
  }

  /// Hears no more; what was said goes out still.
  func stopHearing() {
    heard = nil
    watch()
  }

  /// Says no more, and lets the other end know.
  func close() {
    if let raw = socket?.raw { loop.remove(raw) }
    socket = nil
    unsent = []
    heard = nil
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

  private func watch() {
    guard let raw = socket?.raw else { return }
    loop.remove(raw)
    var wanted: Readiness = heard == nil ? [] : [.input]
    if !unsent.isEmpty { wanted.insert(.output) }
    // Without it the rest goes out with the next report.
    if !wanted.isEmpty { try? loop.add(raw, wanted, self) }
  }
}
