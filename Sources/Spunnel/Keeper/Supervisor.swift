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

  private let loop: EventLoop
  private let node: NodeName
  private let settings: Settings
  private let controlPath: String
  weak var observer: (any SupervisorObserver)?
  private var errors: FileDescriptor?
  private var answer: FileDescriptor?
  private var configuration: SSHConfiguration?
  private var partial: [UInt8] = []

  /// Its process id, `nil` while none runs.
  private(set) var child: pid_t?
  /// What ssh said since it was started, the newest last.
  private(set) var lines: [String] = []

  /// - Parameters:
  ///   - settings: the site's program, arguments and timeout
  ///   - node: where to
  ///   - controlPath: where the master's socket goes
  init(_ loop: EventLoop, _ settings: Settings, node: NodeName, controlPath: String) {
    self.loop = loop
    self.settings = settings
    self.node = node
    self.controlPath = controlPath
  }

  /// Starts ssh. - Returns: what is wrong when it cannot be started
  func start() -> SSHDiagnosis? {
    lines = []
    partial = []
    guard let configuration else { return launch(SSHCommand(asking: settings, node: node)) }
    return launch(
      SSHCommand(settings, node: node, controlPath: controlPath, configuration))
  }

  private func launch(_ command: SSHCommand) -> SSHDiagnosis? {
    let name = command.arguments.first ?? "ssh"
    let searchPath = Process.environment("PATH") ?? "/usr/bin:/bin"
    guard let path = Program.find(name, searchPath: searchPath) else {
      return SSHDiagnosis(missing: name)
    }
    do throws(SystemError) {
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      let errors = try FileDescriptor.pipe()
      let answer = try FileDescriptor.pipe()
      var program = Program(
        path: path, arguments: command.arguments,
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

  /// To be called whenever a child may have ended.
  func reap() {
    guard let child, case .ended(let code) = Process.poll(child) else { return }
    self.child = nil
    listen()
    closeErrors()
    if configuration == nil {
      configuration = told()
      guard let diagnosis = start() else { return }
      observer?.sshEnded(diagnosis)
    } else {
      // Of single connections ssh has spoken before: that is not why it ended.
      let reasons = lines.filter { !$0.hasPrefix("channel ") }
      observer?.sshEnded(SSHDiagnosis(lines: reasons, node: node, exitCode: code))
    }
  }

  /// What `ssh -G` has written. When that is nothing, the real ssh will say what is wrong.
  private func told() -> SSHConfiguration {
    let bytes = try? answer?.read(atMost: 1 << 16) ?? nil
    return SSHConfiguration(String(decoding: bytes ?? [], as: UTF8.self))
  }

  /// Ends ssh and waits for it, a bounded time.
  func stop() {
    closeErrors()
    guard let child else { return }
    self.child = nil
    Process.end(group: child, patience: Supervisor.patience)
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
