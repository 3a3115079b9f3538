// What the record says of a tunnel: the host file and the status, written whenever they have changed, and
// a line of the log for each new state.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class StatusWriter {
  /// Milliseconds between two writings of the counters: not more often than people read them.
  private static let pause = 1000

  private let loop: EventLoop
  private let record: Record
  /// Fills in what is counted elsewhere, as it is now.
  var count: (inout Status) -> Void = { _ in }
  private var status = Status()
  /// Where the tunnel leads; written with the status.
  var host = HostFile(nodes: [], forwards: [])
  /// What the host file says.
  private var written = HostFile(nodes: [], forwards: [])
  /// Whether what it said is there; it is written with the first forward.
  private var hasHost = true
  /// Whether a file could not be written. A full disk has room again some time, and nobody says when.
  private var isBehind = false
  private var timer: EventLoop.Timer?

  init(_ loop: EventLoop, _ record: Record) {
    self.loop = loop
    self.record = record
    status.started = Clock.wallMilliseconds()
    status.keeper = Int(getpid())
  }

  var state: Status.State { status.state }

  /// A state begins.
  func enter(_ state: Status.State) {
    status.state = state
    status.since = Clock.wallMilliseconds()
    record.log(state.rawValue)
    write()
  }

  /// Writes the host file if it has changed, and the status with the counters as they are now.
  func write() {
    loop.cancel(timer)
    timer = nil
    status = counted
    let wasBehind = isBehind
    isBehind = false
    do throws(RecordError) {
      if host != written || !hasHost { try record.write(host) }
      (written, hasHost) = (host, true)
    } catch {
      if !wasBehind { record.log("\(error)") }
      isBehind = true
    }
    if !record.write(status) { isBehind = true }
    if isBehind { writeLater() }
  }

  /// Writes both files, changed or not: somebody has removed them.
  func rewrite() {
    isBehind = true
    hasHost = false
    write()
  }

  /// To be called when counters may have changed: they are written some time later.
  func writeLater() {
    if timer != nil { return }
    timer = loop.after(milliseconds: StatusWriter.pause) { [weak self] in
      guard let self else { return }
      self.timer = nil
      if self.isBehind || self.counted != self.status { self.write() }
    }
  }

  private var counted: Status {
    var now = status
    count(&now)
    return now
  }
}
