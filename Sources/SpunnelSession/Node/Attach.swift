// `spunnel-session attach`: shows a session at the terminal of an srun, for as long as that srun lives.

import CSystem
import Glibc
import SpunnelSystem

enum Attach {
  /// Milliseconds for a session that has just started to be ready.
  private static let patience = 20_000
  /// Milliseconds that the program at the terminal has to leave when its srun is gone.
  private static let leave = 1500
  /// Milliseconds between two looks whether a session that has no terminal is still there.
  private static let look = 300

  /// - Returns: the step's exit status: 0 as well when the session has ended, as it counts in the job's
  ///   `DerivedExitCode`
  static func run(_ manner: AttachManner) -> CInt {
    guard let job = Process.environment("SLURM_JOB_ID") else {
      return refuse("SLURM_JOB_ID is not set: this program is started by spunnelctl session")
    }
    let life = SrunLife()
    guard let record = HolderSearch.record(job: job, patience: patience) else {
      return refuse(
        "attach to job \(job): no session answers on this node: see spunnelctl session list")
    }
    Attendance.begin(in: record.path)
    defer { Attendance.end(in: record.path) }
    // The job's exit status tells spunnelctl the reason.
    if record.offer.facts[SessionRecord.failed] != nil { return 1 }
    guard let kind = SessionKinds.named(record.kind) else {
      return refuse("attach to job \(job): kind '\(record.kind)': update Spunnel on this node")
    }
    Process.setEnvironment("TERM", TerminalWords.name(Process.environment("TERM")))
    for name in ["TMUX", "TMUX_PANE"] { Process.removeEnvironment(name) }
    if kind.isSeenInBrowser {
      wake(job)
      return watch(record, job, life)
    }
    guard let program = kind.attachProgram(record, manner) else {
      return refuse("attach to job \(job): a session of kind \(record.kind) has no terminal")
    }
    wake(job)
    let status = show(program, life)
    if !kind.goesOn(record) {
      tell("session \(job) has ended")
    } else if status != 0 {
      return refuse("attach to job \(job): \(program.path.text) ended with status \(status)")
    } else {
      tellLeft(job)
    }
    return 0
  }

  private static func tellLeft(_ job: String) {
    tell(
      "left session \(job): spunnelctl session \(job) comes back, spunnelctl session stop \(job) ends it"
    )
  }

  /// Stays at the terminal of a session that is seen in a browser: warnings are shown here, and its end.
  private static func watch(_ record: SessionRecord, _ job: String, _ life: SrunLife) -> CInt {
    do throws(SystemError) {
      let signals = try SignalWatch([SIGTERM, SIGHUP, SIGINT, SIGQUIT])
      // Said here, where Ctrl-C is heard: an srun that is still starting takes it for itself.
      tell("Ctrl-C leaves session \(job), which goes on, as do its page and its tunnel")
      while life.waits(with: signals.descriptor, milliseconds: look) {
        let came = try signals.take()
        // scancel ends this step and the session at the same time.
        if isOver(record, within: came.contains(SIGTERM) ? leave : 0) {
          tell("session \(job) has ended")
          return 0
        }
        if !came.isEmpty {
          tellLeft(job)
          return 0
        }
      }
    } catch { return refuse("\(error)") }
    return 0
  }

  /// Whether the session's record is gone.
  ///
  /// - Parameter milliseconds: the longest wait for that
  private static func isOver(_ record: SessionRecord, within milliseconds: Int) -> Bool {
    let end = Clock.milliseconds() + milliseconds
    while unsafe access("\(record.path)/\(SessionRecord.file)", F_OK) == 0 {
      if Clock.milliseconds() >= end { return false }
      usleep(10_000)
    }
    return true
  }

  private static func tell(_ line: String) { StandardStream.error.write(line: "spunnel: \(line)") }

  /// The holder looks at the time that is left: somebody is there to read it.
  private static func wake(_ job: String) {
    for found in HolderSearch.directories() where found.job == job {
      _ = kill(found.process, SIGUSR1)
    }
  }

  /// Runs the program in the terminal's foreground until it ends or srun does.
  private static func show(_ program: Program, _ life: SrunLife) -> Int {
    do throws(SystemError) {
      let signals = try SignalWatch([SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP])
      switch try Process.fork(parentDeathSignal: SIGHUP) {
      case .child:
        Process.unblockSignals()
        try program.replace()
        return 126
      case .parent(let child):
        return try wait(for: child, signals, life)
      }
    } catch {
      _ = refuse("\(error)")
      return 126
    }
  }

  private static func wait(
    for child: pid_t, _ signals: borrowing SignalWatch, _ life: SrunLife
  ) throws(SystemError) -> Int {
    while true {
      if case .ended(let status) = Process.poll(child) { return status }
      guard life.waits(with: signals.descriptor) else {
        hangUp(child)
        return 0
      }
      for signal in try signals.take() where signal == SIGTERM || signal == SIGHUP {
        hangUp(child)
        return 0
      }
    }
  }

  /// HUP has tmux's client leave its session as it is.
  private static func hangUp(_ child: pid_t) {
    Process.endAll(patience: leave, asking: [SIGHUP]) {
      if case .running = Process.poll(child) { [child] } else { [] }
    }
  }

  private static func refuse(_ line: String) -> CInt {
    StandardStream.error.write(line: "spunnel: \(line)")
    return 1
  }
}
