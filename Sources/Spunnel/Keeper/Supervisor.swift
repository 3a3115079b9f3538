// Asks ssh for its configuration, starts it, listens to what it says, and knows when it is gone.

import Glibc
import SpunnelSystem

/// What the supervisor tells its keeper.
protocol SupervisorObserver: AnyObject {
  /// ssh said a line on its standard error.
  func sshSays(_ line: String)
  /// ssh ended, or could not be started.
  func sshEnded(_ diagnosis: SSHDiagnosis)
}

final class Supervisor: EventHandler {
  private static let mostLines = 40
  /// Reads in a row: what is left is reported again.
  private static let mostReads = 16
  /// Milliseconds between TERM and KILL.
  private static let patience = 500
  /// Milliseconds that an srun may take to end its step in order.
  private static let srunPatience = 1000

  private let loop: EventLoop
  private let node: NodeName
  private let settings: Settings
  private let controlPath: String
  private let record: Record
  weak var observer: (any SupervisorObserver)?
  private var errors: FileDescriptor?
  private var answer: FileDescriptor?
  private var configuration: SSHConfiguration?
  private var partial: [UInt8] = []
  private var choice: TransportChoice
  private var srun: SrunTransport?
  /// Whether what runs is `ssh -G`.
  private var isAsking = false
  /// When the first attempt began, in milliseconds of the monotonic clock.
  private var began: Int?
  /// The group of an ssh through srun that has ended: its srun may be about to end.
  private var leftover: pid_t?

  private var shareTimer: EventLoop.Timer?

  /// Its process id, `nil` while none runs.
  private(set) var child: pid_t?
  /// What ssh said since it was started, the newest last.
  private(set) var lines: [String] = []

  /// - Parameters:
  ///   - settings: the site's program, arguments and timeout
  ///   - node: where to
  ///   - controlPath: where the master's socket goes
  ///   - record: the tunnel's, for its job and for keys
  init(
    _ loop: EventLoop, _ settings: Settings, node: NodeName, controlPath: String, record: Record
  ) {
    self.loop = loop
    self.settings = settings
    self.node = node
    self.controlPath = controlPath
    self.record = record
    choice = TransportChoice(settings.transport)
  }

  /// The way that ssh takes, or will take next.
  var transport: Transport { choice.current }

  /// The tunnel is up.
  func succeeded() { choice.succeeded() }

  /// Starts ssh. - Returns: what is wrong when it cannot be started
  func start() -> SSHDiagnosis? {
    begin()
    while true {
      guard let diagnosis = attempt() else { return nil }
      if let told = failed(diagnosis) { return told }
    }
  }

  private func attempt() -> SSHDiagnosis? {
    lines = []
    partial = []
    switch choice.current {
    case .srun: return launchThroughSrun()
    case .ssh:
      isAsking = configuration == nil
      guard let configuration else { return launch(SSHCommand(asking: settings, node: node)) }
      var settings = settings
      // Of an ssh that may be given up, the connecting ends in time for the other way.
      if choice.mayTurn { settings.timeout = share }
      return launch(SSHCommand(settings, node: node, controlPath: controlPath, configuration))
    }
  }

  private func launch(_ command: SSHCommand, environment: [String]? = nil) -> SSHDiagnosis? {
    let name = command.arguments.first ?? "ssh"
    guard let path = Program.find(name, searchPath: Supervisor.searchPath) else {
      return SSHDiagnosis(missing: name)
    }
    do throws(SystemError) {
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      let errors = try FileDescriptor.pipe()
      let answer = try FileDescriptor.pipe()
      var program = Program(
        path: path, arguments: command.arguments, environment: environment,
        descriptors: [null.raw, answer.writer.raw, errors.writer.raw])
      // KILL: a keeper that was killed itself leaves no ssh behind, not even a stopped one.
      program.parentDeathSignal = SIGKILL
      program.raisesDescriptorLimit = true
      child = try program.start()
      let listener = errors.reader
      let reader = answer.reader
      try loop.add(listener.raw, [.input], self)
      self.errors = consume listener
      self.answer = consume reader
      return nil
    } catch {
      return error.code == ENOENT ? SSHDiagnosis(missing: name) : SSHDiagnosis(unstarted: error)
    }
  }

  private static var searchPath: String { Process.environment("PATH") ?? "/usr/bin:/bin" }

  /// To be called whenever a child may have ended.
  func reap() {
    guard let child, case .ended(let code) = Process.poll(child) else { return }
    self.child = nil
    listen()
    closeErrors()
    if isAsking {
      configuration = told()
      guard let diagnosis = start() else { return }
      observer?.sshEnded(diagnosis)
    } else if choice.current == .srun, let srun {
      leave(child)
      ended(SSHDiagnosis(lines: lines, through: srun, exitCode: code))
    } else {
      ended(SSHDiagnosis(lines: SSHDiagnosis.reasons(lines), node: node, exitCode: code))
    }
  }

  /// What `ssh -G` has written. When that is nothing, the real ssh will say what is wrong.
  private func told() -> SSHConfiguration {
    let bytes = try? answer?.read(atMost: 1 << 16) ?? nil
    return SSHConfiguration(String(decoding: bytes ?? [], as: UTF8.self))
  }

  /// Ends ssh and waits for it, a bounded time.
  func stop() {
    if let child {
      self.child = nil
      if choice.current == .srun {
        Process.end(child, patience: Supervisor.patience)
        leftover = child
      } else {
        Process.end(group: child, patience: Supervisor.patience)
      }
    }
    if let leftover { Process.settle(group: leftover, patience: Supervisor.srunPatience) }
    leftover = nil
    closeErrors()
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) { listen() }

  /// Reads what ssh has said by now; not for ever, whatever its children write.
  func listen() {
    for _ in 0..<Supervisor.mostReads {
      guard let bytes = try? errors?.read(atMost: 4096) ?? nil else { return }
      if bytes.isEmpty { return closeErrors() }
      partial += bytes
      takeLines()
    }
  }

  /// Why ssh could not connect to a port of the far host, as it said last.
  var lastRefusal: String? {
    listen()
    return lines.last { $0.contains("open failed") }
  }

  /// Whether ssh is gone or going: the kernel marks a process before it closes its descriptors, so
  /// an end of file from a process that is not marked is one that was meant.
  var isEnding: Bool {
    guard let child else { return true }
    return Process.isExiting(child)
  }

  private func takeLines() {
    while let end = partial.firstIndex(where: { $0 == 10 || $0 == 13 }) {
      let line = String(decoding: partial[..<end], as: UTF8.self)
      partial.removeFirst(end + 1)
      if line.isEmpty { continue }
      lines.append(line)
      if lines.count > Supervisor.mostLines { lines.removeFirst() }
      observer?.sshSays(line)
    }
    // A line without an end must not grow for ever.
    if partial.count > 4096 { partial = [] }
  }

  private func closeErrors() {
    if let raw = errors?.raw { loop.remove(raw) }
    errors = nil
  }
}

// MARK: - The way through srun

extension Supervisor {
  /// Seconds for ssh, when srun may come after it.
  private var share: Int { max(1, settings.timeout / 2) }

  /// The first attempt: ssh gets its share of the time, however it stalls.
  private func begin() {
    if began != nil { return }
    began = Clock.milliseconds()
    guard choice.mayTurn else { return }
    shareTimer = loop.after(milliseconds: share * 1000) { [weak self] in self?.shareIsOver() }
  }

  /// To be called once ssh has logged in: no idle keeper is woken for nothing.
  func hasLoggedIn() { loop.cancel(shareTimer) }

  private func shareIsOver() {
    // Once its control socket is there ssh has logged in.
    guard choice.mayTurn, child != nil, unsafe access(controlPath, F_OK) != 0 else { return }
    stop()
    ended(SSHDiagnosis(silent: node, seconds: share))
  }

  /// - Returns: what to tell, `nil` when the other way is to be tried
  private func failed(_ diagnosis: SSHDiagnosis) -> SSHDiagnosis? {
    let elapsed = Clock.milliseconds() - (began ?? 0)
    if let told = choice.failed(diagnosis, elapsed: elapsed) { return told }
    observer?.sshSays("\(node) refuses ssh (\(diagnosis.said)): going through srun")
    return nil
  }

  private func ended(_ diagnosis: SSHDiagnosis) {
    if let told = failed(diagnosis) ?? start() { observer?.sshEnded(told) }
  }

  private func launchThroughSrun() -> SSHDiagnosis? {
    isAsking = false
    if srun == nil, let diagnosis = prepareSrun() { return diagnosis }
    guard let srun else { return nil }
    return launch(
      SSHCommand(settings, controlPath: controlPath, through: srun),
      environment: srun.environment(from: Process.environment()))
  }

  /// Finds what is needed and makes the keys, once for all attempts.
  private func prepareSrun() -> SSHDiagnosis? {
    var programs: [String] = []
    for name in ["srun", "ssh-keygen"] {
      guard let path = Program.find(name, searchPath: Supervisor.searchPath) else {
        return SSHDiagnosis(missingForSrun: name)
      }
      programs.append(path)
    }
    // Without links: the node may know only where they lead, or only them.
    guard let keeper = Host.executable, let slash = keeper.lastIndex(of: "/") else {
      return SSHDiagnosis(missingForSrun: SrunTransport.helperName)
    }
    do throws(TunnelKeysError) {
      let keys = try TunnelKeys.make(for: node, in: record.directory, program: programs[1])
      do throws(UnsafePath) {
        srun = try SrunTransport(
          job: record.step.job, node: node, srun: programs[0],
          helper: keeper[...slash] + SrunTransport.helperName, keys: keys)
        return nil
      } catch { return SSHDiagnosis(unsafe: error) }
    } catch { return SSHDiagnosis(keyless: error) }
  }

  /// An srun whose ssh is gone ends by itself, once it has ended its step; one that hangs is ended.
  private func leave(_ group: pid_t) {
    leftover = group
    loop.after(milliseconds: Supervisor.srunPatience * 2) { [weak self] in
      guard let self, self.leftover == group else { return }
      self.leftover = nil
      Process.settle(group: group, patience: 0)
    }
  }

  /// Both ways' failure so far, while srun is under way after ssh was refused.
  var unfinished: SSHDiagnosis? {
    guard let refusal = choice.refusal, child != nil, let srun else { return nil }
    listen()
    return SSHDiagnosis(
      refusal, then: SSHDiagnosis(lines: lines, pending: srun, seconds: settings.timeout))
  }
}

extension SSHDiagnosis {
  /// The program is not there.
  init(missing program: String) {
    said = "no program '\(printable(program))' is to be found"
    advice = "install the OpenSSH client, or set ssh_cmd= in plugstack.conf"
    retry = .never
  }

  /// The program could not be started.
  init(unstarted error: SystemError) {
    said = "\(error)"
    advice = "ask your administrator"
    retry = .never
  }
}
