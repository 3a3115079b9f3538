// A running ssh, or the srun of a tunnel: its output, and whether it has ended.

import Glibc
import SpunnelSystem
import SpunnelTunnel

final class SSHProcess: EventHandler {
  /// The standard input and output of a child, borrowed until it is started.
  struct Streams {
    let input: CInt
    let output: CInt
  }

  private static let mostLines = 40
  /// Reads in a row. The event loop reports the rest again.
  private static let mostReads = 16
  /// The most bytes of standard output that are kept; `ssh -G` writes far less.
  private static let longestAnswer = 1 << 20

  private let loop: EventLoop
  private let heard: (String) -> Void
  private var errors: FileDescriptor?
  private var answer: FileDescriptor?
  private var words = LineBuffer(longest: 4096, returnsEndLines: true)
  private var answered: [UInt8] = []

  /// The process id, which is also its process group; `nil` once it has ended.
  private(set) var child: pid_t?
  /// Lines from its standard error, the newest last.
  private(set) var lines: [String] = []

  /// Starts the program.
  ///
  /// - Parameters:
  ///   - arguments: the program, which is searched in PATH, and its arguments
  ///   - environment: `NAME=value` entries; `nil` for this process's own
  ///   - streams: its standard input and output; `nil`: it reads nothing, and its output is kept
  ///   - deathSignal: sent to it when the keeper dies; 0: the end of its streams tells it
  ///   - heard: called with each line of its standard error
  /// - Throws: why it cannot be started
  init(
    _ loop: EventLoop, _ arguments: [String], environment: [ByteString]? = nil,
    streams: Streams? = nil, deathSignal: CInt = SIGKILL, heard: @escaping (String) -> Void
  ) throws(SSHDiagnosis) {
    let name = arguments.first ?? "ssh"
    guard let path = Program.find(name) else { throw .missing(name) }
    do throws(SystemError) {
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      let errors = try FileDescriptor.pipe(childHas: .writer)
      let answer = try FileDescriptor.pipe(childHas: .writer)
      var program = Program(
        path: path, arguments: arguments,
        environment: environment ?? Process.withoutLibraries(),
        descriptors: [
          streams?.input ?? null.raw, streams?.output ?? answer.writer.raw, errors.writer.raw,
        ])
      // With KILL, a keeper that is killed leaves no ssh behind, not even a stopped one.
      program.parentDeathSignal = deathSignal
      // Its own children can then be found by the keeper's session (`KeeperProcess`).
      program.newSession = false
      program.raisesDescriptorLimit = true
      self.loop = loop
      self.heard = heard
      let reader = answer.reader
      let listener = errors.reader
      let raws = [reader.raw, listener.raw]
      self.answer = consume reader
      self.errors = consume listener
      do throws(SystemError) {
        for raw in raws { try loop.add(raw, [.input], self) }
        child = try program.start()
      } catch {
        closeAnswer()
        closeErrors()
        throw error
      }
    } catch {
      throw error.code == ENOENT ? .missing(name) : .unstarted(error)
    }
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    if descriptor == answer?.raw { hearAnswer() } else { listen() }
  }

  /// Reads what it has written to standard error. The number of reads is bounded, because its
  /// children may write without end.
  func listen() {
    for _ in 0..<SSHProcess.mostReads {
      guard let bytes = try? errors?.read(atMost: 4096) else { return }
      if bytes.isEmpty { return closeErrors() }
      words.append(bytes)
      takeLines()
    }
  }

  private func takeLines() {
    while let line = words.next() {
      if line.isEmpty { continue }
      lines.append(line)
      if lines.count > SSHProcess.mostLines { lines.removeFirst() }
      heard(line)
    }
    if words.isOverlong { words.drop() }
  }

  /// What it has written to standard output.
  var answerText: String { String(decoding: answered, as: UTF8.self) }

  /// Reads its standard output. Bytes over the limit are read and dropped, so that the program does
  /// not block.
  private func hearAnswer() {
    for _ in 0..<SSHProcess.mostReads {
      guard let bytes = try? answer?.read(atMost: 1 << 16) else { return }
      if bytes.isEmpty { return closeAnswer() }
      answered += bytes.prefix(SSHProcess.longestAnswer - answered.count)
    }
  }

  /// Whether the process is gone or exiting. The kernel marks a process as exiting before it closes
  /// its descriptors. If the process is not marked, it sent the end of file on purpose.
  var isEnding: Bool {
    guard let child else { return true }
    return Process.isExiting(child)
  }

  /// Reaps the process if it has ended. To be called whenever a child may have ended.
  ///
  /// - Returns: the exit status, once, after it has ended
  func reap() -> Int? {
    guard let child, case .ended(let code) = Process.poll(child) else { return nil }
    self.child = nil
    listen()
    closeErrors()
    hearAnswer()
    closeAnswer()
    return code
  }

  /// Stops reading from the process.
  ///
  /// - Returns: the child, which the caller must end and wait for; `nil` if it has ended
  func letGo() -> pid_t? {
    defer { child = nil }
    closeAnswer()
    closeErrors()
    return child
  }

  private func closeAnswer() {
    if let raw = answer?.raw { loop.remove(raw) }
    answer = nil
  }

  private func closeErrors() {
    if let raw = errors?.raw { loop.remove(raw) }
    errors = nil
  }
}
