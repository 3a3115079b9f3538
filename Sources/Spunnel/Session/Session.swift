// What happens inside srun: claim the ports, start the keeper, wait for its word, let it go.
//
// No thread, no signal handler, nothing that runs while the job runs.

import Glibc
import SpunnelSystem

/// Shows the user a line.
struct Voice: Sendable {
  let level: @Sendable (Bool, String) -> Void

  func info(_ line: String) { level(false, "spunnel: \(line)") }
  func error(_ line: String) { level(true, "spunnel: \(line)") }
}

/// One srun's tunnel, from the claim to the end.
final class Session {
  /// Milliseconds that the end may take before srun goes on without waiting.
  private static let endPatience = 2000
  /// Milliseconds for the keeper's own start and end, on top of `timeout=`.
  private static let startMargin = 3000

  let process = getpid()
  let spec: TunnelSpec
  private var claim: Claim?
  private var arguments: [String]
  private var lifeline: FileDescriptor?

  /// - Parameters:
  ///   - claim: the bound ports
  ///   - arguments: of plugstack.conf, for the keeper
  init(_ claim: consuming Claim, arguments: [String]) {
    spec = claim.spec
    self.claim = consume claim
    self.arguments = arguments
  }

  /// Starts the keeper and waits until the tunnel is ready.
  ///
  /// - Parameters:
  ///   - step: the step that srun starts
  ///   - node: the first node of the step
  ///   - directory: where the plugin lies
  func open(_ step: StepName, _ node: NodeName, directory: String, _ voice: Voice) -> Bool {
    // The steps of a heterogeneous job come one by one; the first has the tunnel.
    guard let claim = claim.take() else { return true }
    do throws(SessionError) {
      let report = try start(claim, step, node, directory)
      if case .failed(let reason) = report { throw SessionError(reason) }
      if !claim.settings.quiet { announce(claim.spec, node, voice) }
      return true
    } catch {
      lifeline = nil
      // Not by closing alone: a helper that srun forked has copies.
      claim.release()
      voice.error("no tunnel: \(error.reason)")
      voice.info("the job goes on without it, unless plugstack.conf says 'required'")
      return false
    }
  }

  private func start(
    _ claim: borrowing Claim, _ step: StepName, _ node: NodeName, _ directory: String
  ) throws(SessionError) -> KeeperReport {
    let path = Session.prefix(of: directory) + "/libexec/spunnel/spunnel-keeper"
    let request: KeeperRequest
    do throws(SettingsError) {
      request = try KeeperRequest(
        step: step, node: node, spec: claim.spec, arguments: arguments)
    } catch { throw SessionError("\(error)") }
    let starter: pid_t
    do throws(SystemError) {
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      let pair = try FileDescriptor.streamPair()
      let ours = pair.left
      let program = Program(
        path: path, arguments: [path] + request.words,
        descriptors: [null.raw, null.raw, null.raw, pair.right.raw]
          + claim.sockets.map { $0.socket.raw })
      lifeline = consume ours
      starter = try program.start()
    } catch { throw SessionError("\(error): is Spunnel installed as a whole?") }
    return try withReaped(starter) { () throws(SessionError) in
      try hear(milliseconds: claim.settings.timeout * 1000 + Session.startMargin)
    }
  }

  /// The process that was started ends as soon as the keeper is its child; one that hangs is ended.
  private func withReaped(
    _ starter: pid_t, _ body: () throws(SessionError) -> KeeperReport
  ) throws(SessionError) -> KeeperReport {
    defer { Process.kill(starter) }
    return try body()
  }

  /// `/opt/spunnel` of `/opt/spunnel/lib/spunnel`.
  private static func prefix(of directory: String) -> String {
    let suffix = "/lib/spunnel"
    return directory.hasSuffix(suffix)
      ? String(directory.dropLast(suffix.count)) : directory + "/../.."
  }

  /// Waits for the keeper's one line.
  private func hear(milliseconds: Int) throws(SessionError) -> KeeperReport {
    let deadline = Clock.milliseconds() + milliseconds
    var heard: [UInt8] = []
    while heard.last != UInt8(ascii: "\n") {
      let left = deadline - Clock.milliseconds()
      guard left > 0, lifeline?.waitReadable(milliseconds: left) ?? false else {
        throw SessionError("the keeper did not answer within \(milliseconds / 1000) seconds")
      }
      let more = try? lifeline?.read(atMost: 4096) ?? nil
      guard let more, !more.isEmpty, heard.count < 65536 else {
        throw SessionError("the keeper ended without a word: see your administrator")
      }
      heard += more
    }
    let line = String(decoding: heard.dropLast(), as: UTF8.self)
    guard let report = KeeperReport(line: line) else {
      throw SessionError("the keeper said '\(printable(line))': is Spunnel installed as a whole?")
    }
    return report
  }

  private func announce(_ spec: TunnelSpec, _ node: NodeName, _ voice: Voice) {
    let announcement = Announcement(HostFile(node: node, forwards: spec.forwards))
    for line in announcement.forwards { voice.info(line) }
    voice.info("on your own computer: \(announcement.command)")
  }

  /// Ends the tunnel and waits until the ports are free, a bounded time.
  func close() {
    claim?.release()
    claim = nil
    guard let raw = lifeline?.raw else { return }
    // The keeper reads end of file, tears down, and closes its own end last.
    _ = shutdown(raw, CInt(SHUT_WR))
    _ = lifeline?.waitReadable(milliseconds: Session.endPatience)
    lifeline = nil
  }
}

/// Why there is no tunnel, in one line.
struct SessionError: Error, Equatable {
  let reason: String

  init(_ reason: String) { self.reason = reason }
}
