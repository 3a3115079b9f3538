// The process between srun and ssh: one for each tunnel, one thread, one event loop.
//
// It lives as long as its lifeline, or as long as its job. srun holds the other end of the
// lifeline, and however srun dies the kernel closes it. A second, tiny process (KeeperProcess)
// removes the record if this one is killed.

import Glibc
import SpunnelSystem

final class Keeper: EventHandler {
  /// Milliseconds between two writings of the counters.
  private static let statusPause = 1000
  /// Milliseconds after the start before code that only the start needed is let go.
  private static let settled = 100
  /// Milliseconds that a keeper without forwards waits for the first command.
  private static let idlePause = 5000

  private let request: KeeperRequest
  private let record: Record
  private let loop: EventLoop
  private let signals: SignalWatch
  private let changes: DirectoryWatch
  private let ends: SubmitEnds
  private var lifeline: FileDescriptor?
  private var tunnel: Tunnel?
  private var job: JobWatch?
  private var commands: CommandServer?
  /// Forwards that live as long as whoever asked for them.
  private var held: [ObjectIdentifier: (client: CommandClient, grant: Grant)] = [:]
  private var status = Status()
  private var hostFile = HostFile(nodes: [], forwards: [])
  private var statusTimer: EventLoop.Timer?
  private var wasUp = false

  init(_ request: KeeperRequest, _ record: Record) throws(SystemError) {
    self.request = request
    self.record = record
    loop = try EventLoop()
    signals = try SignalWatch([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT])
    changes = try DirectoryWatch()
    ends = SubmitEnds(stateDirectory: request.settings.stateDirectory)
    try record.watch(changes)
    // Writing to what the other side has closed, and past `ulimit -f`: an error is enough.
    for number in [SIGPIPE, SIGXFSZ] { _ = signal(number, SIG_IGN) }
  }

  /// Keeps the tunnel until its end is meant; the record is gone when it returns.
  ///
  /// - Parameters:
  ///   - listeners: the claimed ports, to be owned
  ///   - lifeline: to srun
  func run(_ listeners: [CInt], lifeline: consuming FileDescriptor) {
    self.lifeline = consume lifeline
    do throws(SystemError) {
      for listener in listeners { try ends.adopt(listener) }
      try begin()
      try loop.run()
    } catch { fail("\(error)") }
    tunnel?.stop()
    job?.stop()
    record.remove()
  }

  private func begin() throws(SystemError) {
    status.started = Clock.wallMilliseconds()
    status.keeper = Int(getpid())
    let tunnel = try Tunnel(loop, record, request.settings, ends, observer: self)
    self.tunnel = tunnel
    enter(request.nodes.isEmpty ? .waiting : .starting)
    try watch()
    if !request.nodes.isEmpty { tunnel.run(on: request.nodes) }
    if let spec = request.spec {
      let patience = request.life == .lifeline ? request.settings.timeout * 1000 : nil
      tunnel.open(spec, patience: patience) { [weak self] in self?.report($0) }
    } else {
      report(.done)
      loop.after(milliseconds: Keeper.idlePause) { [weak self] in self?.closeIfIdle() }
    }
    if request.life == .job { try watchJob() }
  }

  private func watch() throws(SystemError) {
    if let raw = lifeline?.raw { try loop.add(raw, [.input], self) }
    try loop.add(signals.descriptor.raw, [.input], self)
    try loop.add(changes.descriptor.raw, [.input], self)
    commands = try CommandServer(
      loop, path: record.commandPath, owner: getuid(), observer: self)
  }

  private func watchJob() throws(SystemError) {
    let folder = Host.executable.flatMap { path in
      path.lastIndex(of: "/").map { String(path[..<$0]) }
    }
    let job = JobWatch(loop, program: (folder ?? ".") + "/spunnel-jobs", step: request.step) {
      [weak self] in self?.take($0)
    }
    self.job = job
    try job.start()
  }

  // MARK: Events

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      if descriptor == lifeline?.raw {
        loop.remove(descriptor)
        // Its holder sends nothing: whatever comes here is its end.
        if request.life == .job { lifeline = nil } else { close("srun ended") }
      } else if descriptor == signals.descriptor.raw {
        for signal in try signals.take() { take(signal) }
      } else {
        try changes.clear()
        if record.isGone { return close("the record was removed") }
        if record.exitIsMeant { return close("the exit flag was set") }
        tunnel?.look()
      }
    } catch { fail("\(error)") }
  }

  private func take(_ signal: CInt) {
    if signal != SIGCHLD { return close("signal \(signal)") }
    job?.reap()
    tunnel?.reap()
  }

  private func take(_ news: JobNews) {
    switch news {
    case .pending:
      record.log("the job is pending")
      tunnel?.standBy()
    case .running(let nodes):
      record.log("the job runs on \(nodes.map(\.description).joined(separator: ","))")
      tunnel?.run(on: nodes)
    case .over(let detail): close("job \(request.step.job) is over: \(detail)")
    case .lost(let reason): record.log("ask Slurm for the job: \(reason)")
    }
    review()
  }

  // MARK: The end

  private func close(_ why: String) {
    if status.state == .closing { return }
    record.log("closing: \(why)")
    tunnel?.relay.close()
    ends.releaseAll()
    enter(.closing)
    commands?.end(why)
    loop.stop()
  }

  private func fail(_ reason: String) {
    if !wasUp { say(.failed(reason)) }
    close(reason)
  }

  /// A tunnel that nobody wants anything of any more.
  private func closeIfIdle() {
    if tunnel?.grants.isEmpty ?? true, commands?.isIdle ?? true { close("nothing is left to do") }
  }

  /// What became of the forwards that the tunnel was started for.
  private func report(_ report: KeeperReport) {
    if case .failed(let reason) = report {
      // After a requeue, or of one that others have added to, only these forwards are over.
      if wasUp { return closeIfUnused() }
      return fail(reason)
    }
    say(report)
    guard case .ready = report, !wasUp else { return }
    wasUp = true
    review()
    // The last answers to the start come a moment later and need some of it again.
    loop.after(milliseconds: Keeper.settled) { Process.releaseCode() }
  }

  /// Tells whoever started the keeper. It may be gone, which is no news: the lifeline tells.
  private func say(_ report: KeeperReport) {
    do throws(SystemError) { try lifeline?.writeAll(Array(report.line.utf8)) } catch {}
  }

  // MARK: Status

  private func enter(_ state: Status.State) {
    status.state = state
    status.since = Clock.wallMilliseconds()
    record.log(state.rawValue)
    writeStatus()
  }

  /// Looks at the tunnel as a whole, after something has changed.
  private func review() {
    guard let tunnel, status.state != .closing else { return }
    writeHost(tunnel)
    let state: Status.State =
      if tunnel.nodes.isEmpty {
        .waiting
      } else if tunnel.isUp {
        wasUp || request.spec == nil ? .up : .starting
      } else {
        wasUp ? .reconnecting : .starting
      }
    if tunnel.isUp && request.spec == nil { wasUp = true }
    if state != status.state { enter(state) } else { writeStatus() }
  }

  private func writeHost(_ tunnel: Tunnel) {
    let now = HostFile(
      nodes: tunnel.nodes, forwards: tunnel.routes.map(\.forward),
      waiting: tunnel.grants.filter(\.routes.isEmpty).map(\.spec))
    if now == hostFile { return }
    hostFile = now
    do throws(RecordError) { try record.write(now) } catch { record.log("\(error)") }
  }

  private func writeStatus() {
    loop.cancel(statusTimer)
    statusTimer = nil
    status = counted
    record.write(status)
  }

  /// The status with the relay's counters as they are now.
  private var counted: Status {
    var now = status
    guard let tunnel else { return now }
    now.ssh = Int(tunnel.process ?? 0)
    now.transport = tunnel.transport
    now.connections = tunnel.relay.open
    (now.accepted, now.refused) = (tunnel.relay.accepted, tunnel.relay.refused)
    (now.sent, now.received) = tunnel.relay.bytes
    now.far = tunnel.routes.map(\.far)
    return now
  }
}

extension Keeper: TunnelObserver {
  func tunnelNotes(_ line: String) { record.log(line) }

  func tunnelChanged() { review() }

  func tunnelIsCut() { job?.ask() }

  /// A job that is watched may have been requeued.
  func tunnelMissesJob() { if job == nil { close("the job has ended") } }

  /// Writes the counters, but not more often than people read them.
  func tunnelCounted() {
    if statusTimer != nil { return }
    statusTimer = loop.after(milliseconds: Keeper.statusPause) { [weak self] in
      guard let self else { return }
      self.statusTimer = nil
      if self.counted != self.status { self.writeStatus() }
    }
  }
}

extension Keeper: CommandObserver {
  func commanded(_ command: KeeperCommand, by client: CommandClient) {
    guard let tunnel else { return }
    switch command {
    case .probe:
      tunnel.probe { [weak self] in
        self?.review()
        client.say(.done)
      }
    case .close(let spec):
      let missing = tunnel.close(matching: spec)
      let ends = missing.map { "'\($0.listen)'" }.joined(separator: ", ")
      client.say(missing.isEmpty ? .done : .failed("no forward listens at \(ends)"))
      for held in held.values where !tunnel.grants.contains(where: { $0 === held.grant }) {
        held.client.say(.over("its forwards were closed"))
      }
      if tunnel.grants.isEmpty { close("its last forward was closed") }
    case .open(let spec, let isHeld):
      // Somebody waits for it, so it fails in time; once there it is kept like any other.
      let grant = tunnel.open(spec, patience: request.settings.timeout * 1000) {
        [weak self] report in
        client.say(report)
        if case .failed = report { self?.closeIfUnused() }
      }
      if !isHeld { return }
      if !client.isOpen { return tunnel.close(grant) }
      held[ObjectIdentifier(client)] = (client, grant)
    }
  }

  func commandEnded(_ client: CommandClient) {
    if let held = held.removeValue(forKey: ObjectIdentifier(client)) { tunnel?.close(held.grant) }
    closeIfUnused()
  }

  /// Once there were forwards, their end is the tunnel's.
  private func closeIfUnused() { loop.postpone { [weak self] in self?.closeIfIdle() } }
}
