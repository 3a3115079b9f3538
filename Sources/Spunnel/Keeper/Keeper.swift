// The process between srun and ssh: one for each tunnel, one thread, one event loop.
//
// It lives as long as its lifeline: srun holds the other end, and however srun dies the kernel
// closes it. A second, tiny process (see Guardian) removes the record if this one is killed.

import Glibc
import SpunnelSystem

final class Keeper: EventHandler {
  /// Milliseconds between two attempts while the tunnel is first made.
  private static let startPause = 250
  /// Milliseconds for which a refusal that looks final is tried again.
  private static let brief = 2000
  /// Milliseconds before the first attempt to return, doubled up to the longest.
  private static let firstPause = 100
  private static let longestPause = 30_000
  /// Milliseconds for which a connection must have held before the pauses start anew.
  private static let stable = 30_000
  /// Milliseconds between two writings of the counters.
  private static let statusPause = 1000

  private let request: KeeperRequest
  private let record: Record
  private let loop: EventLoop
  private let signals: SignalWatch
  private let changes: DirectoryWatch
  private var lifeline: FileDescriptor?
  private var relay: Relay?
  private var supervisor: Supervisor?
  private var status = Status()
  private var statusTimer: EventLoop.Timer?
  private var refusal: SSHDiagnosis?
  private var pause = Keeper.firstPause
  private var handshake: Handshake?
  private var wasUp = false

  init(_ request: KeeperRequest, _ record: Record) throws(SystemError) {
    self.request = request
    self.record = record
    loop = try EventLoop()
    signals = try SignalWatch([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT])
    changes = try DirectoryWatch()
    try record.watch(changes)
    // Writing to what the other side has closed, and past `ulimit -f`: an error is enough.
    for number in [SIGPIPE, SIGXFSZ] { _ = signal(number, SIG_IGN) }
  }

  /// Keeps the tunnel until its end is meant; the record is gone when it returns.
  ///
  /// - Parameters:
  ///   - listeners: the claimed ports
  ///   - lifeline: to srun
  func run(_ listeners: [Listener], lifeline: consuming FileDescriptor) {
    self.lifeline = consume lifeline
    do throws(SystemError) {
      try begin(listeners)
      try loop.run()
    } catch { fail("\(error)") }
    relay?.close()
    supervisor?.stop()
    record.remove()
  }

  private func begin(_ listeners: [Listener]) throws(SystemError) {
    let now = Clock.wallMilliseconds()
    status.started = now
    status.keeper = Int(getpid())
    do throws(RecordError) {
      try record.write(HostFile(node: request.node, forwards: request.spec.forwards))
    } catch { return fail("\(error)") }
    enter(.starting)
    try watch()
    let relay = try Relay(
      loop, access: request.settings.access, owner: getuid(),
      patience: request.settings.timeout * 1000, observer: self)
    for listener in listeners { try relay.add(listener) }
    self.relay = relay
    supervisor = Supervisor(
      loop, request.settings, node: request.node, controlPath: record.controlPath, record: record,
      observer: self)
    loop.after(milliseconds: request.settings.timeout * 1000) { [weak self] in self?.startIsOver() }
    connect()
  }

  private func watch() throws(SystemError) {
    if let raw = lifeline?.raw { try loop.add(raw, [.input], self) }
    try loop.add(signals.descriptor.raw, [.input], self)
    try loop.add(changes.descriptor.raw, [.input], self)
  }

  // MARK: Events

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      if descriptor == lifeline?.raw {
        // srun sends nothing: whatever comes here is its end.
        close("srun ended")
      } else if descriptor == signals.descriptor.raw {
        for signal in try signals.take() { take(signal) }
      } else {
        try changes.clear()
        if record.isGone { return close("the record was removed") }
        if record.exitIsMeant { return close("the exit flag was set") }
        lookForControl()
      }
    } catch { fail("\(error)") }
  }

  private func take(_ signal: CInt) {
    if signal == SIGCHLD { supervisor?.reap() } else { close("signal \(signal)") }
  }

  // MARK: Connecting

  private func connect() {
    record.removeControl()
    guard let supervisor, status.state != .closing else { return }
    if let diagnosis = supervisor.start() { sshEnded(diagnosis) }
  }

  /// ssh has logged in and listens on its control socket.
  private func connected() {
    if handshake != nil { return }
    do throws(SystemError) {
      let handshake = try Handshake(
        loop, record, request, isFirst: !wasUp,
        lastWords: { [weak self] in self?.supervisor?.lastRefusal },
        done: { [weak self] in self?.shaken($0) })
      self.handshake = handshake
      try handshake.start()
    } catch {
      // ssh is busy, or has just gone, which its end will tell.
      handshake = nil
      record.log("ask ssh: \(error)")
      loop.after(milliseconds: Keeper.startPause) { [weak self] in self?.lookForControl() }
    }
  }

  private func lookForControl() {
    if supervisor?.child != nil, status.state != .up, record.controlExists { connected() }
  }

  private func shaken(_ outcome: Handshake.Outcome) {
    switch outcome {
    case .ready(let sockets): up(sockets)
    case .failed(let reason): fail(reason)
    // The end of ssh is told by itself.
    case .lost: handshake = nil
    }
  }

  private func up(_ sockets: ForwardSockets) {
    enter(.up)
    relay?.connect(through: sockets)
    supervisor?.succeeded()
    if wasUp { return }
    wasUp = true
    report(.ready)
    // The last answers to the start come a moment later and need some of it again.
    loop.after(milliseconds: Keeper.firstPause) { Process.releaseCode() }
  }

  private func startIsOver() {
    if wasUp || status.state == .closing { return }
    if let refusal = supervisor?.unfinished ?? refusal {
      return fail("\(request.node): \(refusal.message)")
    }
    let said = supervisor?.lines.last.map { "; ssh said: \(printable($0))" } ?? ""
    fail(
      "\(request.node) is not reached within \(request.settings.timeout) seconds\(said): "
        + "see whether ssh \(request.node) works, or raise timeout=")
  }

  /// Decides after a failed first attempt.
  private func retryStart(_ diagnosis: SSHDiagnosis) {
    let isFirst = refusal == nil
    refusal = diagnosis
    if diagnosis.retry == .never { return startIsOver() }
    loop.after(milliseconds: Keeper.startPause) { [weak self] in self?.connect() }
    if !isFirst { return }
    // The attempt that is under way then is not waited for: it may take much longer.
    loop.after(milliseconds: Keeper.brief) { [weak self] in
      if self?.refusal?.retry == .briefly { self?.startIsOver() }
    }
  }

  // MARK: The end

  private func close(_ why: String) {
    if status.state == .closing { return }
    record.log("closing: \(why)")
    // The ports first: whoever waits for them need not wait for ssh.
    relay?.close()
    enter(.closing)
    loop.stop()
  }

  private func fail(_ reason: String) {
    if !wasUp { report(.failed(reason)) }
    close(reason)
  }

  /// Tells srun, once. It may be gone, which is no news: the lifeline tells.
  private func report(_ report: KeeperReport) {
    do throws(SystemError) { try lifeline?.writeAll(Array(report.line.utf8)) } catch {}
  }

  // MARK: Status

  private func enter(_ state: Status.State) {
    status.state = state
    status.since = Clock.wallMilliseconds()
    record.log(state.rawValue)
    writeStatus()
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
    now.ssh = Int(supervisor?.child ?? 0)
    now.transport = supervisor?.transport
    guard let relay else { return now }
    now.connections = relay.open
    (now.accepted, now.refused) = (relay.accepted, relay.refused)
    (now.sent, now.received) = relay.bytes
    return now
  }
}

extension Keeper: RelayObserver {
  func relayNotes(_ line: String) { record.log(line) }

  func relayAsksIfCut() -> Bool { supervisor?.isEnding ?? true }

  /// Writes the counters, but not more often than people read them.
  func relayChanged() {
    if statusTimer != nil { return }
    statusTimer = loop.after(milliseconds: Keeper.statusPause) { [weak self] in
      guard let self else { return }
      self.statusTimer = nil
      if self.counted != self.status { self.writeStatus() }
    }
  }
}

extension Keeper: SupervisorObserver {
  func sshSays(_ line: String) { record.log("ssh: \(line)") }

  func sshEnded(_ diagnosis: SSHDiagnosis) {
    handshake?.stop()
    handshake = nil
    if status.state == .closing { return }
    if !wasUp { return retryStart(diagnosis) }
    relay?.disconnect()
    if Clock.wallMilliseconds() - status.since > Keeper.stable { pause = Keeper.firstPause }
    record.log("ssh ended: \(diagnosis.message)")
    if diagnosis.jobIsGone { return close("the job has ended") }
    if status.state != .reconnecting { enter(.reconnecting) }
    loop.after(milliseconds: pause) { [weak self] in self?.connect() }
    pause = min(pause * 2, Keeper.longestPause)
  }
}
