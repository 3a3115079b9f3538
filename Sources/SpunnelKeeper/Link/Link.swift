// The connection to one node: one ssh, the forwards over it, and how it reconnects after a loss.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class Link {
  /// Milliseconds before the first attempt if no requester waits with a deadline. The job's tasks
  /// are being started, and an ssh handshake would take processor time from them.
  private static let aside = 100
  /// Milliseconds for which a refusal that looks final is tried again.
  static let brief = 2000

  let node: NodeName
  private let number: Int
  let loop: EventLoop
  let record: Record
  private let settings: Settings
  let launcher: SSHLauncher
  weak var observer: (any LinkObserver)?
  let cargo: Cargo
  let attempts: Attempts
  private(set) var state = LinkState.down(.init())
  /// The forwards that are being opened now.
  var opener: ForwardOpener?
  /// Why the last of the first attempts failed.
  var refusal: SSHDiagnosis?
  var refusals = Refusals()
  /// Whether a forward has ever been open.
  var wasUp = false
  /// The number of socket paths on the node that are being removed.
  private(set) var clearing = 0
  /// Called when `clearing` comes back to 0.
  var whenCleared: (() -> Void)?

  /// Makes a link; it connects with its first forward.
  ///
  /// - Parameters:
  ///   - node: the node to connect to
  ///   - number: of the node in its step; part of the control socket's name
  ///   - record: the folder of the sockets
  ///   - endings: takes over an ssh that is to end
  ///   - arrivals: the port to which a node's own sshd connects back
  ///   - observer: called when the link comes up or is lost
  init(
    _ loop: EventLoop, _ node: NodeName, number: Int, _ record: Record, _ settings: Settings,
    _ endings: Endings, _ arrivals: Arrivals? = nil, observer: (any LinkObserver)?
  ) {
    self.loop = loop
    self.node = node
    self.number = number
    self.record = record
    self.settings = settings
    self.observer = observer
    cargo = Cargo(loop)
    attempts = Attempts(loop)
    launcher = SSHLauncher(
      loop, settings, node: node, number: number, record: record, endings: endings,
      arrivals: arrivals ?? Arrivals(loop))
    launcher.observer = self
    attempts.make = { [weak self] in self?.connect() }
  }

  /// Whether connections to services can be made.
  var isUp: Bool { state.upSince != nil }

  /// Milliseconds since the connection was lost; 0 if it was not lost.
  var downFor: Int { state.absence?.since.map { Clock.milliseconds() - $0 } ?? 0 }

  private var master: ControlMaster? { state.master }

  func change(_ event: LinkState.Event) {
    state = state.after(event, at: Clock.milliseconds())
  }

  /// ssh's process id; `nil` while no ssh runs.
  var process: pid_t? { launcher.child }

  /// Finds out whether an end of file from ssh is a cut. It is a cut if ssh is gone or ending, or
  /// if the far end refused the connection: a refusal must not look like an empty answer of the
  /// service.
  ///
  /// - Parameters:
  ///   - end: what the pump saw; if only the service ended, ssh shuts one direction down and does
  ///     not close the socket
  ///   - answer: called once, at once or when ssh has answered
  func askIfCut(_ end: ServiceEnd, _ answer: @escaping (Bool) -> Void) {
    if !end.isClosed || launcher.isEnding { return answer(end.isClosed) }
    guard let master else { return answer(true) }
    // The answer may come when the refusal is no longer fresh, so `wasRefused` is read first.
    let wasRefused = hasJustRefused
    master.check(loop) { [weak self] isThere in
      let isRefused = wasRefused || self?.hasJustRefused ?? true
      answer(!isThere || (end.mayBeRefusal && isRefused))
    }
  }

  /// Whether ssh has reported a refusal a moment ago. ssh reports it before it closes the socket
  /// (channels.c, `channel_input_open_failure`).
  private var hasJustRefused: Bool {
    launcher.listen()
    return refusals.areFresh
  }

  /// How ssh reaches the node: directly or through srun.
  var transport: Transport? { launcher.transport }

  /// Why the bytes go through srun's own I/O, while they do.
  var detour: String? { launcher.detour }

  /// Why the link is not up, as far as ssh has said.
  var trouble: String? { isUp ? nil : (launcher.unfinished ?? state.absence?.end)?.message }

  /// The same with the node's name before it.
  var complaint: String? { trouble.map { "\(node): \($0)" } }

  /// Whether nothing uses the link any more.
  var isIdle: Bool { cargo.isEmpty }

  /// Whether a requested forward uses the link; SOCKS clients alone do not count.
  var isAskedFor: Bool { cargo.isAskedFor }

  // MARK: Forwards

  /// Opens forwards, now or when ssh has connected.
  ///
  /// - Parameters:
  ///   - patience: milliseconds after which they have failed; `nil`: it tries for ever
  ///   - done: called once, unless the link is stopped first
  func add(_ routes: [Route], patience: Int?, done: @escaping (Cargo.Outcome) -> Void) {
    add(Batch(routes, .permission, done), patience: patience)
  }

  /// Opens a route to a service that a SOCKS client named.
  ///
  /// - Parameter failed: called if it cannot be opened
  func visit(_ route: Route, failed: @escaping () -> Void) {
    add(Batch([route], .none) { if case .failed = $0 { failed() } })
  }

  /// Finds out whether anything listens at the far ends.
  ///
  /// - Parameter done: called once, also if the link is stopped
  func probe(_ done: @escaping () -> Void) {
    let routes = cargo.carried.filter { $0.forward.kind == .local }
    // The requester gets its answer whatever the outcome.
    add(Batch(routes, .ends, tellsItsEnd: true) { _ in done() })
  }

  private func add(_ batch: Batch, patience: Int? = nil) {
    cargo.add(batch, patience: patience) { [weak self] in self?.expire($0) }
    if isUp {
      openNext()
    } else if !launcher.isBusy && !attempts.isPlanned {
      refusal = nil
      if batch.hasDeadline { return connect() }
      attempts.plan(after: Link.aside)
    } else if batch.hasDeadline {
      attempts.hurry()
    }
  }

  /// Closes a forward. The last forward to a service also closes that service's socket.
  func remove(_ route: Route) {
    cargo.remove(route)
    guard let master else { return }
    switch route.forward.kind {
    case .remote:
      close(.remote(listen: route.forward.listen, to: route.service), on: master)
      if let path = route.forward.listen.path { clear(path, on: master) }
    case .local, .dynamic:
      if cargo.needs(route.service) { return }
      if let forward = master.sockets.drop(route.service) { close(forward, on: master) }
    }
  }

  /// Asks sshd to stop listening on its unix sockets, and removes them. `whenCleared` is called at
  /// the end.
  func removeSockets() {
    guard let master, isUp else { return }
    for route in cargo.carried where route.forward.kind == .remote {
      guard let path = route.forward.listen.path else { continue }
      close(.remote(listen: route.forward.listen, to: route.service), on: master)
      clear(path, on: master)
    }
  }

  private func clear(_ path: String, on master: ControlMaster) {
    clearing += 1
    RemotePath.clear(path, loop, master) { _ in
      self.clearing -= 1
      if self.clearing == 0 { self.whenCleared?() }
    }
  }

  private func close(_ forward: MultiplexRequest.Forward, on master: ControlMaster) {
    // The answer does not matter: the forward is closed in either case.
    let asked = try? master.ask(loop, MultiplexRequest.close(forward)) { _ in }
    asked?.abandon()
  }

  /// Connects to the service of a forward without waiting.
  ///
  /// - Returns: the connected socket; `nil` while the link is down or ssh does not listen for the
  ///   service
  /// - Throws: `EAGAIN` if ssh's queue of connections is full, `ECONNREFUSED` if ssh is gone
  func connect(_ route: Route) throws(SystemError) -> FileDescriptor? {
    guard isUp else {
      attempts.hurry()
      return nil
    }
    return try master?.sockets.connect(route.service)
  }

  /// Takes what ssh has just said about a refused connection, once for each refusal; `nil` if ssh
  /// said nothing.
  func takeRefusal() -> FarEnd? {
    launcher.listen()
    return refusals.take()
  }

  /// Finds out why a far end has refused a connection.
  ///
  /// - Parameters:
  ///   - told: what ssh has said about it
  ///   - answer: called once with the result, unless the link is stopped first
  func look(at forward: Forward, _ told: FarEnd, _ answer: @escaping (FarEnd) -> Void) {
    guard let master, isUp else { return answer(told) }
    FarLook(loop: loop, master: master, node: node, refusals: self).look(at: forward, told, answer)
  }

  // MARK: ssh connects

  private func connect() {
    if state.isOver { return }
    if let diagnosis = launcher.start() { sshEnded(diagnosis) }
  }

  /// Looks for ssh's control socket: once it exists, ssh has logged in. To be called whenever
  /// something has changed in the record.
  func look() {
    guard process != nil, master == nil, record.controlExists(of: number) else { return }
    do throws(SystemError) {
      let master = try ControlMaster(record, link: number)
      master.transport = launcher.transport
      change(.loggedIn(master))
      reopen()
    } catch {
      // ssh is busy, or it has just exited, which `reap` will report.
      record.log("ask ssh: \(error)")
      loop.after(milliseconds: Attempts.startPause) { [weak self] in self?.look() }
    }
  }

  /// Reaps children that have ended. To be called whenever a child may have ended.
  func reap() { launcher.reap() }

  private func open(
    _ routes: [Route], _ inquiry: Inquiry, _ done: @escaping (ForwardOpener.Outcome) -> Void
  ) {
    guard let master else { return }
    let opener = ForwardOpener(
      loop, master, node, routes, inquiry, refusals: self,
      isOwn: { [weak self] in self?.observer?.linkIsOwn($0) ?? false }
    ) { [weak self] outcome in
      if case .ready = outcome, let missing = self?.opener?.missing { self?.reclaim(missing) }
      self?.opener = nil
      done(outcome)
    }
    self.opener = opener
    opener.start()
  }

  /// The forwards of the lost connection are open again, or could not be opened.
  private func returned(_ outcome: ForwardOpener.Outcome) {
    switch outcome {
    // The exit of ssh is reported separately. If ssh still runs, it is asked again.
    case .lost: loop.after(milliseconds: Attempts.startPause) { [weak self] in self?.again() }
    case .failed(let reason):
      // For example, an sshd that still holds the exec port of the lost connection.
      record.log(reason)
      loop.after(milliseconds: attempts.backoff.take()) { [weak self] in self?.again() }
    case .ready: up()
    }
  }

  private func again() {
    if master == nil || opener != nil || isUp { return }
    reopen()
  }

  /// Opens the forwards of the lost connection again.
  private func reopen() {
    open(cargo.carried, .none) { [weak self] in self?.returned($0) }
  }

  /// Asks again for remote forwards that the far sshd did not open: the lost connection may still
  /// hold their ports.
  private func reclaim(_ routes: [Route]) {
    if routes.isEmpty { return }
    let ends = routes.map { "'\($0.forward.listen)'" }.joined(separator: ", ")
    record.log("\(node) does not listen on \(ends) again yet")
    loop.after(milliseconds: attempts.backoff.take()) { [weak self] in
      guard let self, self.isUp else { return }
      let left = routes.filter { self.cargo.carries($0) }
      if !left.isEmpty { self.add(Batch(left, .none) { _ in }) }
    }
  }

  private func up() {
    change(.restored)
    launcher.hasLoggedIn()
    launcher.succeeded()
    if !cargo.carried.isEmpty { observer?.linkIsUp(self) }
    openNext()
  }

  private func openNext() {
    guard isUp, opener == nil, let batch = cargo.next else { return }
    let routes = batch.routes
    open(routes, batch.inquiry) { [weak self] in self?.opened(batch, routes, $0) }
  }

  private func opened(_ batch: Batch, _ routes: [Route], _ outcome: ForwardOpener.Outcome) {
    // These routes were removed while they were being opened, or their deadline has passed.
    let isWanted = cargo.isWaiting(batch)
    for route in routes where !isWanted || !batch.wants(route) { remove(route) }
    switch outcome {
    // The batch is tried again with the next ssh, or with this one if it still runs.
    case .lost:
      loop.after(milliseconds: Attempts.startPause) { [weak self] in self?.openNext() }
      return
    case .failed(let reason): cargo.settle(batch, .failed(reason))
    case .ready:
      wasUp = true
      if !isWanted { break }
      cargo.carry(batch)
      observer?.linkIsUp(self)
      cargo.settle(batch, .ready)
    }
    openNext()
  }

  // MARK: ssh ends

  private func expire(_ batch: Batch) {
    if let refusal = launcher.unfinished ?? refusal {
      return cargo.settle(batch, .failed("\(node): \(refusal.message)"))
    }
    let said = launcher.said.last.map { "; ssh said: \(printable($0))" } ?? ""
    cargo.settle(
      batch,
      .failed(
        "\(node) is not reached within \(settings.timeout) seconds\(said): see whether ssh \(node) "
          + "works, or raise timeout="))
  }

  /// Fails the batches that have a deadline. The others wait on.
  func giveUp() {
    for batch in cargo.urgent { expire(batch) }
  }

  func stopOpening() {
    opener?.stop()
    opener = nil
  }

  /// Ends ssh and all forwards without waiting. Waiting batches get no report, except probes.
  func stop() {
    change(.stopped)
    attempts.stop()
    stopOpening()
    cargo.clear("the link to \(node) was ended")
    launcher.stop()
    record.removeControl(of: number)
  }
}
