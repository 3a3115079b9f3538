// Starts ssh, listens to what it says, and knows when it is there and when it is gone.

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
  private let command: SSHCommand
  private weak var observer: (any SupervisorObserver)?
  private var errors: FileDescriptor?
  private var partial: [UInt8] = []

  /// Its process id, `nil` while none runs.
  private(set) var child: pid_t?
  /// What ssh said since it was started, the newest last.
  private(set) var lines: [String] = []

  /// - Parameters:
  ///   - node: for messages
  init(
    _ loop: EventLoop, _ command: SSHCommand, node: NodeName,
    observer: any SupervisorObserver
  ) {
    self.loop = loop
    self.command = command
    self.node = node
    self.observer = observer
  }

  /// Starts ssh. - Returns: what is wrong when it cannot be started
  func start() -> SSHDiagnosis? {
    lines = []
    partial = []
    let name = command.arguments.first ?? "ssh"
    let searchPath = Process.environment("PATH") ?? "/usr/bin:/bin"
    guard let path = Program.find(name, searchPath: searchPath) else {
      return SSHDiagnosis(missing: name)
    }
    do throws(SystemError) {
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      let pipe = try FileDescriptor.pipe()
      var program = Program(
        path: path, arguments: command.arguments,
        descriptors: [null.raw, null.raw, pipe.writer.raw])
      // KILL: a keeper that was killed itself leaves no ssh behind, not even a stopped one.
      program.parentDeathSignal = SIGKILL
      program.raisesDescriptorLimit = true
      child = try program.start()
      let reader = pipe.reader
      try loop.add(reader.raw, [.input], self)
      errors = consume reader
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
    observer?.sshEnded(SSHDiagnosis(lines: lines, node: node, exitCode: code))
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
