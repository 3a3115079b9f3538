// The holder: what a session's batch script becomes. It starts the kind, waits for its end, warns of the end
// of time, and takes everything down.

import CSystem
import Glibc
import SpunnelSystem

package final class Holder {
  /// Milliseconds that the session's programs have between TERM and KILL.
  private static let patience = 1000
  /// Milliseconds that attached terminals may take to leave: the job's end would abort their step.
  private static let leave = 2000

  private let kind: any SessionKind
  private let place: SessionPlace
  private let signals: SignalWatch
  private let time: TimeWarnings
  private let idle: IdleWatch?
  /// Whether Slurm or the user wants the end.
  private var isAskedToEnd = false

  private init(
    _ kind: any SessionKind, _ place: SessionPlace, job: String, idle: Int?
  ) throws(SystemError) {
    self.kind = kind
    self.place = place
    // USR1 comes from an attach that has just begun.
    signals = try SignalWatch([SIGTERM, SIGCHLD, SIGHUP, SIGINT, SIGUSR1])
    time = TimeWarnings(job: job)
    self.idle = idle.map { IdleWatch(limit: $0, job: job) }
  }

  /// The whole life of a session on its node.
  ///
  /// - Parameters:
  ///   - type: the session's kind
  ///   - idle: seconds without use after which the session ends, `nil` for none
  ///   - keeps: whether the session stays when its program has ended
  ///   - command: the words behind `--`
  /// - Returns: the job's exit status
  package static func run(
    _ type: any SessionKind.Type, idle: Int?, keeps: Bool, command: [ByteString]
  ) -> CInt {
    let job = Process.environment("SLURM_JOB_ID") ?? "0"
    Process.keepFilesPrivate()
    Process.adoptOrphans()
    Process.keepChildren()
    SessionPlace.sweep(except: Set(HolderSearch.directories().map(\.path)))
    do throws(SessionFailure) {
      let place = try SessionPlace(type, inherited: Process.environment())
      defer { place.remove() }
      place.keeps = keeps
      return CInt(try hold(type, place, job: job, idle: idle, command: command))
    } catch {
      StandardStream.error.write(line: "spunnel-session: \(error.said)")
      return CInt(error.status)
    }
  }

  private static func hold(
    _ type: any SessionKind.Type, _ place: SessionPlace, job: String, idle: Int?,
    command: [ByteString]
  ) throws(SessionFailure) -> Int {
    let holder = try system { () throws(SystemError) in
      try Holder(type.init(), place, job: job, idle: idle)
    }
    defer { holder.finish() }
    let offer: SessionOffer
    do throws(SessionFailure) { offer = try holder.kind.start(place, command: command) } catch {
      tellFailure(error, type, place)
      throw error
    }
    try system { () throws(SystemError) in
      let directory = try Directory.open(place.path)
      // Where an attach looks for the record.
      try check("chdir \(place.path)") { unsafe chdir(place.path) }
      var offer = offer
      if let idle { offer.facts["idle"] = String(idle) }
      try SessionRecord(kind: type.name, offer: offer, path: place.path).write(in: directory)
    }
    return try system { () throws(SystemError) in try holder.wait() }
  }

  /// Tells those who are attaching why there is no session, before the job's end cuts them off.
  private static func tellFailure(
    _ failure: SessionFailure, _ type: any SessionKind.Type, _ place: SessionPlace
  ) {
    let offer = SessionOffer(facts: [SessionRecord.failed: failure.said])
    guard let directory = try? Directory.open(place.path), unsafe chdir(place.path) == 0,
      (try? SessionRecord(kind: type.name, offer: offer, path: place.path).write(in: directory))
        != nil
    else { return }
    let end = Clock.milliseconds() + leave
    while Attendance.count(in: place.path) == 0, Clock.milliseconds() < end { usleep(10_000) }
  }

  private static func system<Value>(
    _ body: () throws(SystemError) -> Value
  ) throws(SessionFailure) -> Value {
    do throws(SystemError) { return try body() } catch { throw .refused("\(error)") }
  }

  /// - Returns: the session's exit status
  private func wait() throws(SystemError) -> Int {
    while true {
      // A child may have ended while the kind was asking tmux.
      if let status = reap() { return status }
      _ = signals.descriptor.waitReadable(milliseconds: nextWait())
      for signal in try signals.take() {
        switch signal {
        case SIGTERM, SIGHUP, SIGINT: return endNow()
        case SIGUSR1: time.lookNow()
        default: break
        }
      }
      if let line = time.dueWarning() { show(line) }
      if let idle, idle.isOver(attached: Attendance.count(in: place.path)) { return endNow() }
    }
  }

  private func endNow() -> Int {
    isAskedToEnd = true
    kind.end(place)
    return 0
  }

  private func nextWait() -> Int { min(time.nextLook, idle?.nextLook ?? .max) }

  private func show(_ line: String) {
    if !kind.warn(line, place), !Attendance.tell(line, in: place.path) { time.takeBack() }
  }

  private func reap() -> Int? {
    var status: CInt = 0
    while true {
      let child = unsafe waitpid(-1, &status, WNOHANG)
      if child <= 0 { return nil }
      if let end = kind.childEnded(child, status: Int(csystem_exit_code(status)), place) {
        return end
      }
    }
  }

  /// What is left of the session's programs ends, and those who are attached may leave in order.
  private func finish() {
    // Its absence tells those who are attached.
    if let directory = try? Directory.open(place.path) { directory.remove(SessionRecord.file) }
    if !isAskedToEnd { kind.end(place) }
    Descendants.end(patience: Holder.patience)
    let end = Clock.milliseconds() + Holder.leave
    while Attendance.count(in: place.path) > 0, Clock.milliseconds() < end { usleep(10_000) }
  }
}
