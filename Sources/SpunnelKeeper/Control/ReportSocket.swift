// One connected socket of the keeper: it sends reports and tells when input arrives.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class ReportSocket: EventHandler {
  private let loop: EventLoop
  private var socket: FileDescriptor?
  /// Reports that the socket had no room for. Unsent reports block nothing else.
  private var unsent: ArraySlice<UInt8> = []
  /// `nil` once the keeper no longer reads this socket.
  private var heard: (() -> Void)?

  /// Takes over a connected socket and watches it.
  ///
  /// - Parameters:
  ///   - socket: connected; it is made non-blocking
  ///   - heard: called when there is input or end of file
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

  /// Bytes of reports that are not sent yet.
  var backlog: Int { unsent.count }

  /// Sends a report to the other end. If the other end is closed, the report is dropped without an
  /// error.
  func say(_ report: KeeperReport) {
    if socket == nil { return }
    let waited = !unsent.isEmpty
    unsent += Array(report.line.utf8)
    send()
    if waited == unsent.isEmpty { watch() }
  }

  /// Reads input.
  ///
  /// - Returns: the bytes, empty at end of file, `nil` if there is no input now
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

  /// Stops watching for input. Unsent reports still go out.
  func stopHearing() {
    heard = nil
    watch()
  }

  /// Closes the socket. The other end reads end of file.
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
    // If the watch fails, the rest goes out with the next report.
    if !wanted.isEmpty { try? loop.add(raw, wanted, self) }
  }
}
