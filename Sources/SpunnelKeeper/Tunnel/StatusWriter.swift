// What the record says about a tunnel: the host file and the status, written when they have
// changed, and a log line for each new state.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class StatusWriter {
  /// Milliseconds between two writes of the counters: people do not read them more often.
  private static let pause = 1000

  private let loop: EventLoop
  private let record: Record
  /// Fills in the counters that other parts keep.
  var count: (inout Status) -> Void = { _ in }
  private var status = Status()
  private var journal: TunnelJournal
  /// Where the tunnel leads; written with the status.
  var host = HostFile(nodes: [], forwards: [])
  /// The content of the host file as it was last written.
  private var written = HostFile(nodes: [], forwards: [])
  /// Whether the host file exists. `false` makes the next write restore it, even if nothing has
  /// changed.
  private var hasHost = true
  /// Whether a write failed and must be repeated. A full disk may have room again at any time,
  /// without notice.
  private var isBehind = false
  private var timer: EventLoop.Timer?

  /// - Parameter syslog: where the tunnel's beginning and end are told
  init(_ loop: EventLoop, _ record: Record, syslog: SystemLog.Facility? = nil) {
    self.loop = loop
    self.record = record
    journal = TunnelJournal(record.step, syslog)
    status.started = Clock.wallMilliseconds()
    status.keeper = Int(getpid())
  }

  var state: Status.State { status.state }

  /// Enters a state and writes it.
  func enter(_ state: Status.State) {
    status.state = state
    status.since = Clock.wallMilliseconds()
    record.log(state.rawValue)
    write()
    if state == .up { journal.begin(host, status) }
  }

  /// The tunnel ends.
  func close(_ why: String) {
    journal.end(host, counted, reason: why)
    enter(.closing)
  }

  /// Writes the host file if it has changed, and the status with the current counters.
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

  /// Writes both files even if nothing has changed, because they were removed.
  func rewrite() {
    isBehind = true
    hasHost = false
    write()
  }

  /// Writes the counters some time later. To be called when they may have changed.
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
