// The process between srun and ssh: one for each tunnel, with one thread and one event loop.
//
// It lives as long as its lifeline or as long as its job. srun holds the other end of the lifeline:
// when srun dies in any way, the kernel closes it. If the keeper is killed, a second, tiny process
// (KeeperProcess) removes the record.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class Keeper: EventHandler {
  /// Milliseconds after the start before code pages that only the start needs are released.
  private static let settled = 100
  /// Milliseconds that a keeper without forwards waits for the first command.
  private static let idlePause = 5000
  /// Milliseconds that the nodes have at the end to remove unix sockets. srun waits two seconds in
  /// total.
  private static let clearPatience = 1000
  /// Milliseconds before an incomplete record is written again. If no file can be made, the record
  /// may stay incomplete for long.
  private static let restorePause = 200
  /// Milliseconds for which a record tells why there is no tunnel, if nothing reports the end of
  /// the job: a day.
  private static let blindPatience = 86_400_000

  let request: KeeperRequest
  let record: Record
  private let installation: Installation
  let loop: EventLoop
  private let signals: SignalWatch
  private let changes: DirectoryWatch
  private let ends: SubmitEnds
  /// The connection to the process that started the keeper. An srun that does not wait for its
  /// tunnel reads nothing before its own end.
  private var lifeline: ReportSocket?
  var tunnel: Tunnel?
  private var job: JobWatch?
  private var commands: CommandServer?
  /// The command clients that asked for forwards and are still connected.
  var askers: [ObjectIdentifier: Asker] = [:]
  private var restoring: EventLoop.Timer?
  let status: StatusWriter
  private var wasUp = false
  /// Whether a process has a report that the tunnel exists or will exist. That process may have gone.
  private var isAnnounced = false
  /// Forwards that were announced and could not be opened.
  var failures = Failures()
  /// Why nothing can be learned about the job, while that is so.
  var blindness: String?

  /// Sets up signals and watches; `run` starts the tunnel.
  ///
  /// - Parameters:
  ///   - request: what the keeper was started for
  ///   - record: of the tunnel; the keeper removes it at the end
  ///   - installation: whose helper is asked about the job
  init(_ request: KeeperRequest, _ record: Record, _ installation: Installation) throws(SystemError)
  {
    self.request = request
    self.record = record
    self.installation = installation
    loop = try EventLoop()
    signals = try SignalWatch([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT])
    changes = try DirectoryWatch()
    ends = SubmitEnds(stateDirectory: request.settings.stateDirectory, hasOwnSockets: true)
    status = StatusWriter(loop, record, syslog: request.settings.syslog)
    status.count = { [weak self] in
      self?.tunnel?.count(&$0)
      $0.reasons = self?.failures.lines ?? []
    }
    try record.watch(changes)
    // If these signals are ignored, write(2) to a closed peer or past `ulimit -f` returns an error.
    for number in [SIGPIPE, SIGXFSZ] { _ = signal(number, SIG_IGN) }
  }

  /// Runs the tunnel until it ends. The record is removed before this function returns.
  ///
  /// - Parameters:
  ///   - listeners: the claimed ports, owned from now on
  ///   - lifeline: to srun
  func run(_ listeners: [CInt], lifeline: consuming FileDescriptor) {
    do throws(SystemError) {
      self.lifeline = try ReportSocket(loop, lifeline) { [weak self] in self?.lifelineEnded() }
      for listener in listeners { try ends.adopt(listener) }
      try begin()
      try loop.run()
    } catch { fail("\(error)") }
    tunnel?.stop()
    job?.stop()
    record.remove()
  }

  private func begin() throws(SystemError) {
    let tunnel = try Tunnel(loop, record, request.settings, ends, observer: self)
    self.tunnel = tunnel
    status.enter(request.nodes.isEmpty ? .waiting : .starting)
    try watch()
    // The job is watched first: the starting command still reads the lifeline and gets a failure.
    if request.life == .job && !watchJob() { return }
    if !request.nodes.isEmpty { tunnel.run(on: request.nodes) }
    if let spec = request.spec {
      open(spec, on: tunnel)
    } else {
      lifeline?.say(.done)
      isAnnounced = true
      loop.after(milliseconds: Keeper.idlePause) { [weak self] in self?.closeIfIdle() }
    }
  }

  /// Opens the forwards that srun or sbatch asked for. The services start after the tunnel or at
  /// the same time.
  private func open(_ spec: TunnelSpec, on tunnel: Tunnel) {
    if request.life != .job {
      let patience = request.life == .lifeline ? request.settings.timeout * 1000 : nil
      tunnel.open(spec, patience: patience) { [weak self] in
        self?.report($0, of: spec)
      }
      return
    }
    // Opens each forward separately: one failure must not close the others, and no user is present
    // to retry.
    for forward in spec.forwards where status.state != .closing {
      let alone = TunnelSpec(forwards: [forward])
      tunnel.open(alone, patience: nil) { [weak self] in
        self?.report($0, of: alone)
      }
    }
    if status.state == .closing { return }
    isAnnounced = true
    lifeline?.say(.waiting(TunnelSpec(forwards: tunnel.grants.flatMap(\.spec.forwards))))
  }

  private func watch() throws(SystemError) {
    try loop.add(signals.descriptor.raw, [.input], self)
    try loop.add(changes.descriptor.raw, [.input], self)
    commands = try commandServer()
  }

  private func commandServer() throws(SystemError) -> CommandServer {
    let (access, owner) = (request.settings.access, getuid())
    return try CommandServer(
      loop, path: record.commandPath,
      // Even if every user may use the tunnel, only its owner may change it.
      mayCommand: { access.admits($0, to: owner) }, observer: self)
  }

  /// Starts to watch the job.
  ///
  /// - Returns: whether it is watched; otherwise the tunnel is over
  private func watchJob() -> Bool {
    let job = JobWatch(
      loop, program: installation.jobs, step: request.step, tunnels: record.folder,
      poll: request.settings.poll
    ) { [weak self] in self?.take($0) }
    self.job = job
    do throws(SystemError) { try job.start() } catch {
      fail(KeeperFailure(unstarted: error).reason)
      return false
    }
    return true
  }

  // MARK: Events

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      if descriptor == signals.descriptor.raw {
        for signal in try signals.take() { take(signal) }
      } else {
        try changes.clear()
        if record.isGone { return close("the record was removed") }
        if record.exitIsMeant { return close("it was closed with spunnelctl close") }
        // A program that deletes old files may ignore the record's lock; systemd-tmpfiles(8)
        // respects it.
        if record.isIncomplete { restoreLater() }
        tunnel?.look()
      }
    } catch { fail("\(error)") }
  }

  /// Restores files that were removed from the record, after a pause. ssh's sockets need no name:
  /// the keeper holds handles of them.
  private func restoreLater() {
    if restoring != nil { return }
    restoring = loop.after(milliseconds: Keeper.restorePause) { [weak self] in
      self?.restoring = nil
      self?.restore()
    }
  }

  private func restore() {
    if status.state == .closing || !record.isIncomplete { return }
    status.rewrite()
    guard !record.hasCommand, commands?.isIdle ?? true else { return }
    commands?.end(.over("its command socket was removed"))
    do throws(SystemError) { commands = try commandServer() } catch {
      record.log("serve commands: \(error)")
    }
  }

  /// The lifeline's holder sends nothing, so any event is its end.
  private func lifelineEnded() {
    if request.life == .job {
      lifeline?.close()
      lifeline = nil
      return
    }
    lifeline?.stopHearing()
    // An srun that did not wait reads this at its own end.
    if !wasUp, request.life == .patientLifeline, let reason = tunnel?.complaint {
      lifeline?.say(.failed(reason))
    }
    close(KeeperReport.stepEnded)
  }

  private func take(_ signal: CInt) {
    if signal != SIGCHLD {
      return close("signal \(signal)", .failed("its keeper was ended by signal \(signal)"))
    }
    job?.reap()
    tunnel?.reap()
  }

  private func take(_ news: JobNews) {
    switch news {
    case .lost, .untold: break
    default: blindness = nil
    }
    switch news {
    case .pending:
      record.log("the job is pending")
      tunnel?.standBy()
    case .running(let nodes):
      record.log("the job runs on \(nodes.map(\.description).joined(separator: ","))")
      tunnel?.run(on: nodes)
    case .over(let detail): close("job \(request.step.job) is over: \(detail)")
    case .lost(let reason): record.log("ask Slurm for the job: \(reason)")
    case .untold(let reason): lookAway("ask Slurm for the job: \(reason)")
    }
    review()
  }

  /// Nothing was ever learned about the job, and nothing will be.
  private func lookAway(_ reason: String) {
    blindness = reason
    tunnel?.fail(reason)
    loop.after(milliseconds: Keeper.blindPatience) { [weak self] in
      if self?.blindness != nil { self?.close("nothing was heard of the job for a day") }
    }
  }

  // MARK: The end

  /// Closes the tunnel.
  ///
  /// - Parameters:
  ///   - why: for the log
  ///   - report: for command clients, if the end was not intended
  func close(_ why: String, _ report: KeeperReport? = nil) {
    if status.state == .closing { return }
    record.log("closing: \(why)")
    tunnel?.relay.close()
    ends.releaseAll()
    status.close(why)
    // A client that comes now finds no socket, rather than a socket without a listener.
    record.removeCommand()
    commands?.end(report ?? .over(why))
    guard let tunnel else { return loop.stop() }
    loop.after(milliseconds: Keeper.clearPatience) { [loop] in loop.stop() }
    tunnel.removeSockets { [loop] in loop.stop() }
  }

  private func fail(_ reason: String) {
    if !wasUp { lifeline?.say(.failed(reason)) }
    close(reason, .failed(reason))
  }

  /// Notes forwards that failed to open. A user may rely on them, so the record keeps the reason.
  /// The keeper holds their ports as long as the job lives.
  func lose(_ spec: TunnelSpec, _ reason: String) {
    if status.state == .closing { return }
    failures.add(spec, reason)
    tunnel?.keptPorts = failures.ports
    review()
  }

  /// Closes the tunnel if it has no forwards, no failure to tell and no clients.
  func closeIfIdle() {
    if tunnel?.grants.isEmpty ?? true, failures.isEmpty, commands?.isIdle ?? true {
      close("nothing is left to do")
    }
  }

  /// Passes on what became of the forwards that the tunnel was started with.
  private func report(_ report: KeeperReport, of spec: TunnelSpec) {
    if case .failed(let reason) = report {
      if !isAnnounced { return fail(reason) }
      if !wasUp { lifeline?.say(report) }
      return lose(spec, reason)
    }
    if request.life != .job { lifeline?.say(report) }
    // An srun that does not wait for more goes on now.
    if case .bound = report, request.life == .patientLifeline { isAnnounced = true }
    guard case .ready = report, !wasUp else { return }
    isAnnounced = true
    wasUp = true
    review()
    // The last answers to the start come a moment later and need some of this code again.
    loop.after(milliseconds: Keeper.settled) { Process.releaseCode() }
  }

  // MARK: Status

  /// Updates the status after a change of the tunnel.
  func review() {
    guard let tunnel, status.state != .closing else { return }
    status.host = tunnel.hostFile(failed: failures)
    let state: Status.State =
      if tunnel.grants.isEmpty {
        failures.isEmpty ? status.state : .failed
      } else if tunnel.nodes.isEmpty {
        .waiting
      } else if tunnel.isUp {
        wasUp || request.spec == nil ? .up : .starting
      } else {
        wasUp ? .reconnecting : .starting
      }
    if tunnel.isUp && request.spec == nil { wasUp = true }
    if state != status.state { status.enter(state) } else { status.write() }
    tellAskers()
  }

  func tellAskers() {
    guard let tunnel else { return }
    for asker in askers.values { asker.look(tunnel) }
  }

}

extension Keeper: TunnelObserver {
  func tunnelChanged() { review() }

  /// Asks Slurm before any client is told of a loss, because the end of the job may explain it. The
  /// job may still be ending at the first answer, so Slurm is asked twice.
  func tunnelIsCut() {
    job?.ask()
    loop.after(milliseconds: Asker.pause / 2) { [weak self] in self?.job?.ask() }
    loop.after(milliseconds: Asker.pause) { [weak self] in self?.tellAskers() }
  }

  /// Closes the tunnel, unless the job is watched: a watched job may have been requeued.
  func tunnelMissesJob() { if job == nil { close("the job has ended") } }

  func tunnelCounted() { status.writeLater() }
}
