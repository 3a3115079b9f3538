// What the record says of a tunnel: the host file and the status, written whenever they have changed, and
// a line of the log for each new state.

import Glibc
import SpunnelSystem

final class StatusWriter {
  /// Milliseconds between two writings of the counters: not more often than people read them.
  private static let pause = 1000

  private let loop: EventLoop
  private let record: Record
  /// Fills in what is counted elsewhere, as it is now.
  var count: (inout Status) -> Void = { _ in }
  private var status = Status()
  private var host = HostFile(nodes: [], forwards: [])
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

  func write(_ now: HostFile) {
    if now == host { return }
    host = now
    do throws(RecordError) { try record.write(now) } catch { record.log("\(error)") }
  }

  /// Writes the status with the counters as they are now.
  func write() {
    loop.cancel(timer)
    timer = nil
    status = counted
    record.write(status)
  }

  /// To be called when counters may have changed: they are written some time later.
  func writeLater() {
    if timer != nil { return }
    timer = loop.after(milliseconds: StatusWriter.pause) { [weak self] in
      guard let self else { return }
      self.timer = nil
      if self.counted != self.status { self.write() }
    }
  }

  private var counted: Status {
    var now = status
    count(&now)
    return now
  }
}
