// Starts ssh to a node: first `ssh -G` for its configuration, then ssh itself. If the node refuses
// ssh, it goes through srun.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// What the launcher reports to its link.
protocol SSHLauncherObserver: AnyObject {
  /// ssh wrote a line to its standard error.
  func sshSays(_ line: String)
  /// ssh ended, or could not be started.
  func sshEnded(_ diagnosis: SSHDiagnosis)
}

final class SSHLauncher {
  /// Milliseconds between TERM and KILL.
  private static let patience = 500
  /// Milliseconds that an srun may take to end its step in order.
  private static let srunPatience = 1500
  /// The most lines of ssh's output that are kept.
  private static let mostLines = 40
  /// Milliseconds between two checks whether the previous ssh has ended.
  private static let pause = 20

  private let loop: EventLoop
  private let node: NodeName
  private let settings: Settings
  private let number: Int
  private let record: Record
  private let endings: Endings
  private let arrivals: Arrivals
  weak var observer: (any SSHLauncherObserver)?
  /// The ssh that runs, or the last one that ran.
  private var ssh: SSHProcess?
  private var configuration: SSHConfiguration?
  private var choice: TransportChoice
  private var srun: SrunTransport?
  /// With the srun transport: the step in which the node's sshd runs.
  private var step: SrunStep?
  /// Why the tunnel goes through srun's own I/O, while it does.
  private(set) var detour: String?
  /// The exit status of an ssh that ended before it logged in, while its step may still give the
  /// reason.
  private var early: Int?
  /// Whether ssh has logged in during this attempt.
  private var wasIn = false
  /// Lines that ssh or srun wrote since the attempt began, the newest last.
  private(set) var said: [String] = []
  /// Whether the running process is `ssh -G`.
  private var isAsking = false
  /// When the first attempt began, in milliseconds of the monotonic clock.
  private var began: Int?
  /// Runs until the previous ssh has ended.
  private var delay: EventLoop.Timer?
  private var shareTimer: EventLoop.Timer?

  /// Prepares to start ssh.
  ///
  /// - Parameters:
  ///   - settings: the site's program, arguments and timeout
  ///   - node: the node to reach
  ///   - number: of the node in its step; part of the control socket's name
  ///   - record: of the tunnel; it gives the job, the control socket and the place for keys
  ///   - endings: takes over an ssh that is to end
  ///   - arrivals: the port to which the node's own sshd connects back
  init(
    _ loop: EventLoop, _ settings: Settings, node: NodeName, number: Int, record: Record,
    endings: Endings, arrivals: Arrivals
  ) {
    self.loop = loop
    self.settings = settings
    self.node = node
    self.number = number
    self.record = record
    self.endings = endings
    self.arrivals = arrivals
    choice = TransportChoice(settings.transport)
  }

  /// The transport that ssh uses, or will use next.
  var transport: Transport { choice.current }

  /// Notes that the tunnel is up.
  func succeeded() { choice.succeeded() }

  /// ssh's process id; `nil` while no ssh runs.
  var child: pid_t? { ssh?.child }

  /// Whether ssh runs or is about to.
  var isBusy: Bool { child != nil || step?.child != nil || delay != nil }

  private var controlPath: String { record.controlPath(of: number) }

  /// Starts ssh, now or once the previous ssh has ended.
  ///
  /// - Returns: why it cannot be started; `nil` if it was started
  func start() -> SSHDiagnosis? {
    begin()
    // When the previous ssh exits, it removes the control socket by name. That would be the new
    // ssh's socket.
    if endings.mayTouch(controlPath) {
      delay = loop.after(milliseconds: SSHLauncher.pause) { [weak self] in self?.startLate() }
      return nil
    }
    while true {
      do throws(SSHDiagnosis) {
        try attempt()
        return nil
      } catch {
        if let told = failed(error) { return told }
      }
    }
  }

  private func startLate() {
    delay = nil
    if let told = start() { observer?.sshEnded(told) }
  }

  private func attempt() throws(SSHDiagnosis) {
    (ssh, step, detour, early, said, wasIn) = (nil, nil, nil, nil, [], false)
    record.removeControl(of: number)
    isAsking = choice.current == .ssh && configuration == nil
    var settings = settings
    if choice.current == .srun {
      step = try startStep()
    } else if let configuration {
      // If srun may come after ssh, ssh's connection timeout must end in time for it.
      if choice.mayTurn { settings.timeout = share }
      let command = SSHCommand(settings, node: node, controlPath: controlPath, configuration)
      let environment =
        command.needsShell ? SSHCommand.withShell(Process.withoutLibraries()) : nil
      try launch(command, environment: environment)
    } else {
      try launch(SSHCommand(asking: settings, node: node))
    }
  }

  private func launch(
    _ command: SSHCommand, environment: [ByteString]? = nil, streams: SSHProcess.Streams? = nil
  ) throws(SSHDiagnosis) {
    ssh = try SSHProcess(
      loop, command.arguments, environment: environment, streams: streams
    ) { [weak self] in self?.hear($0) }
  }

  private func hear(_ line: String) {
    said.append(line)
    if said.count > SSHLauncher.mostLines { said.removeFirst() }
    observer?.sshSays(line)
  }

  /// Reaps children that have ended. To be called whenever a child may have ended.
  func reap() {
    reapStep()
    guard let code = ssh?.reap() else { return }
    if isAsking {
      // If `ssh -G` wrote nothing, the real ssh will say what is wrong.
      configuration = SSHConfiguration(ssh?.answerText ?? "")
      guard let diagnosis = start() else { return }
      observer?.sshEnded(diagnosis)
    } else if choice.current == .srun, let srun {
      // The step's messages give the reason for a failed login, so they are read first.
      if !wasIn, step?.child != nil {
        early = code
        step?.finish()
        shareTimer = loop.after(milliseconds: SSHLauncher.srunPatience) { [weak self] in
          self?.endEarly()
        }
        return
      }
      stopStep()
      ended(SSHDiagnosis(lines: said, through: srun, exitCode: code))
    } else {
      ended(
        SSHDiagnosis(
          lines: SSHDiagnosis.reasons(said), node: node, exitCode: code,
          over: configuration?.jumpHosts(settings)))
    }
  }

  /// Ends ssh without waiting for it.
  func stop() {
    loop.cancel(delay)
    delay = nil
    early = nil
    let child = ssh?.letGo()
    if let child { endings.add(Ending(child, patience: SSHLauncher.patience), of: controlPath) }
    stopStep()
  }

  /// Reads what ssh has written by now.
  func listen() {
    step?.listen()
    ssh?.listen()
  }

  /// ssh's last message about a connection that the far host refused.
  var lastRefusal: String? {
    listen()
    return said.last { $0.mentions("open failed") }
  }

  /// Whether ssh is gone or exiting.
  var isEnding: Bool { ssh?.isEnding ?? true }
}

// MARK: - The srun transport

extension SSHLauncher {
  /// Seconds that ssh may take, if srun may come after it.
  private var share: Int { max(1, settings.timeout / 2) }

  /// Notes the start of the first attempt. ssh gets only its share of the time, even if it stalls.
  private func begin() {
    if began != nil { return }
    began = Clock.milliseconds()
    guard choice.mayTurn else { return }
    shareTimer = loop.after(milliseconds: share * 1000) { [weak self] in self?.shareIsOver() }
  }

  /// Notes that ssh has logged in. The timer is stopped, so that it does not wake an idle keeper.
  func hasLoggedIn() {
    wasIn = true
    loop.cancel(shareTimer)
  }

  private func shareIsOver() {
    // The control socket exists once ssh has logged in.
    guard choice.mayTurn, child != nil, unsafe access(controlPath, F_OK) != 0 else { return }
    stop()
    ended(SSHDiagnosis(silent: node, seconds: share))
  }

  /// Decides what follows a failed attempt.
  ///
  /// - Returns: the diagnosis to report; `nil` if the other transport is to be tried
  private func failed(_ diagnosis: SSHDiagnosis) -> SSHDiagnosis? {
    let elapsed = Clock.milliseconds() - (began ?? 0)
    if let told = choice.failed(diagnosis, elapsed: elapsed) { return told }
    observer?.sshSays("\(node) refuses ssh (\(diagnosis.said)): going through srun")
    return nil
  }

  private func ended(_ diagnosis: SSHDiagnosis) {
    if let told = failed(diagnosis) ?? start() { observer?.sshEnded(told) }
  }

  private func startStep() throws(SSHDiagnosis) -> SrunStep {
    let srun = try preparedSrun()
    try arrivals.makeRoom()
    return try SrunStep(
      loop, srun, arrivals, patience: settings.timeout * 1000,
      late: { [weak self] in self?.stepIsLate() },
      heard: { [weak self] in self?.hear($0) },
      reached: { [weak self] in self?.reached($0, $1) })
  }

  /// The step's sshd waits for ssh: starts ssh.
  private func reached(_ way: SrunStep.Way, _ streams: SSHProcess.Streams) {
    guard let srun else { return }
    var isDirect = true
    if case .detour(let reason) = way { (isDirect, detour) = (false, "\(node) \(reason)") }
    do throws(SSHDiagnosis) {
      try launch(
        SSHCommand(settings, controlPath: controlPath, through: srun, isDirect: isDirect),
        environment: SrunTransport.cleaned(Process.withoutLibraries()), streams: streams)
    } catch {
      stopStep()
      ended(error)
    }
  }

  private func stepIsLate() {
    guard let srun else { return }
    stop()
    ended(SSHDiagnosis(lines: said, pending: srun, seconds: settings.timeout))
  }

  /// Reaps srun if it has ended. To be called whenever a child may have ended. If the step ends, the
  /// tunnel ends too, even if ssh still runs.
  private func reapStep() {
    guard let code = step?.reap(), let srun else { return }
    if let process = step?.leader {
      // srun's second process may need a moment to end.
      endings.add(Ending(leftBy: process, rest: SSHLauncher.srunPatience), of: "")
    }
    if early != nil { return endEarly() }
    guard ssh?.child != nil else {
      if ssh == nil {
        ended(SSHDiagnosis(lines: said, through: srun, exitCode: code, of: "srun"))
      }
      return
    }
    // The last messages may still be in the pipe.
    listen()
    stop()
    ended(SSHDiagnosis(lines: said, through: srun, exitCode: code, of: "srun"))
  }

  private func endEarly() {
    guard let code = early, let srun else { return }
    loop.cancel(shareTimer)
    listen()
    early = nil
    stopStep()
    ended(SSHDiagnosis(lines: said, through: srun, exitCode: code))
  }

  /// Asks the step to end, without waiting for it.
  private func stopStep() {
    guard let child = step?.letGo() else { return }
    endings.add(Ending(child, grace: SSHLauncher.srunPatience), of: "")
  }

  /// The srun transport. The programs are found and the keys are made once for all attempts.
  private func preparedSrun() throws(SSHDiagnosis) -> SrunTransport {
    if let srun { return srun }
    var programs: [String] = []
    for name in ["srun", "ssh-keygen"] {
      guard let path = Program.find(name) else { throw .missingForSrun(name) }
      programs.append(path)
    }
    // The path has no symbolic links: the node may have only the link or only its target.
    guard let folder = Host.programFolder else {
      throw .missingForSrun(SrunTransport.helperName)
    }
    let keys: TunnelKeys
    do throws(TunnelKeysError) {
      keys = try TunnelKeys.make(for: node, in: record.directory, program: programs[1])
    } catch { throw .keyless(error) }
    do throws(UnsafePath) {
      let made = try SrunTransport(
        job: record.step.job, node: node, srun: programs[0],
        helper: folder + "/" + SrunTransport.helperName, keys: keys)
      srun = made
      return made
    } catch { throw .unsafe(error) }
  }

  /// The failure of both transports so far, while srun is tried after ssh was refused.
  var unfinished: SSHDiagnosis? {
    guard let refusal = choice.refusal, isBusy, let srun else { return nil }
    listen()
    return SSHDiagnosis(
      refusal, then: SSHDiagnosis(lines: said, pending: srun, seconds: settings.timeout))
  }
}
