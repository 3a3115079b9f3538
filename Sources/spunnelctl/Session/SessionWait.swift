// Waits until a session runs, telling its place in the queue; Ctrl-C leaves it there.

import Glibc
import SpunnelCLI
import SpunnelSession
import SpunnelSystem

struct SessionWait {
  /// Milliseconds between two questions: soon after the start, and later.
  private static let pauses = [50, 100, 150, 250, 400, 700]
  private static let usual = 1500
  /// Milliseconds after which a queue is worth a word, and between two of them.
  private static let patience = 1200
  private static let newsPause = 30_000
  /// Milliseconds that a job's last processes may take to end.
  private static let completion = 10_000

  let job: String
  let isNew: Bool

  /// - Returns: the session, running; `nil` when the user has left
  func run(notifies: Bool) throws(CommandError) -> SessionJob? {
    let began = Clock.milliseconds()
    var round = 0
    var told = ""
    var nextNews = began + (isNew ? SessionWait.patience : 0)
    let interrupts: SignalWatch
    do throws(SystemError) { interrupts = try SignalWatch([SIGINT]) } catch {
      throw .failure("\(error)")
    }
    defer { Process.unblockSignals() }
    while true {
      guard let session = try Sessions.ask(job) else {
        try SessionWait.ended(job)
        return nil
      }
      if session.isReady {
        if notifies, round > 0 { remark("\u{7}spunnelctl: session \(job) has started") }
        return session
      }
      if session.phase == .over {
        try SessionWait.ended(job)
        return nil
      }
      if Clock.milliseconds() >= nextNews {
        let news = describe(session)
        if news != told { remark("spunnelctl: \(news)") }
        told = news
        nextNews = Clock.milliseconds() + SessionWait.newsPause
      }
      let pause = round < SessionWait.pauses.count ? SessionWait.pauses[round] : SessionWait.usual
      round += 1
      if interrupts.descriptor.waitReadable(milliseconds: pause) {
        // Taken, so that it does not end this process afterwards.
        _ = try? interrupts.take()
        return leave(session)
      }
    }
  }

  private func leave(_ session: SessionJob) -> SessionJob? {
    remark(
      "\nspunnelctl: session \(job) stays in the queue: spunnelctl session \(job) waits for it again, "
        + "spunnelctl session stop \(job) removes it")
    return nil
  }

  private func describe(_ session: SessionJob) -> String {
    if session.phase == .running {
      return "session \(job) is \(session.state.lowercased()) on \(session.node): waiting"
    }
    var words = "session \(job) is queued"
    if !session.reason.isEmpty { words += " (\(printable(session.reason)))" }
    if let place = place(session) {
      words += ", place \(place.place) of \(place.waiting)"
    }
    words +=
      session.started.map { ", expected to start \(SlurmTime.local($0))" }
      ?? ", no start expected yet"
    return words + "; Ctrl-C leaves it in the queue"
  }

  private func place(_ session: SessionJob) -> (place: Int, waiting: Int)? {
    guard let programs = try? Sessions.programs() else { return nil }
    return SessionQuery(programs).place(of: session)
  }

  /// A session is over: says how, and fails unless it ended well.
  static func ended(_ job: String) throws(CommandError) {
    var found = try Sessions.ask(job)
    // Its last processes may still be ending.
    let end = Clock.milliseconds() + completion
    while let session = found, session.state == "COMPLETING", Clock.milliseconds() < end {
      usleep(100_000)
      found = try Sessions.ask(job)
    }
    guard let found else {
      throw .failure("session \(job): Slurm knows it no more: see spunnelctl session list")
    }
    if found.state == "COMPLETED" {
      return remark("spunnelctl: session \(job) has ended")
    }
    throw .failure("session \(job): \(reason(found))")
  }

  private static func reason(_ session: SessionJob) -> String {
    let (node, state, exit) = (session.node, session.state, session.exitStatus)
    switch (state, exit) {
    case ("FAILED", 69):
      let needs = SessionKinds.named(session.kind)?.needs ?? "a program"
      return
        "\(node) lacks \(needs): ask your administrator to install it there, or name other nodes"
    case ("FAILED", 70):
      return
        "it could not start on \(node): add -o FILE to spunnelctl session start, and read why there"
    case ("FAILED", 73):
      return "no directory could be made on \(node), its /tmp may be full: tell your administrator"
    case ("FAILED", 126), ("FAILED", 127):
      return "\(node) could not run it: install Spunnel on \(node) too, in the same place"
    case ("TIMEOUT", _):
      return "its time limit is over: start another with spunnelctl session start -t TIME"
    default: return "it has ended: \(state), exit status \(exit)"
    }
  }
}
