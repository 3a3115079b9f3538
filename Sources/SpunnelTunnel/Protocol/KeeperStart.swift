// Starts a keeper and waits for its reports: for srun, sbatch and spunnelctl.

import Glibc
import SpunnelSystem

/// The reason why there is no tunnel, in one line.
public struct KeeperFailure: Error, Equatable {
  public let reason: String

  public init(_ reason: String) { self.reason = reason }

  /// The reason, or one for each way that was tried: a thought a line.
  public var reasons: [String] { SSHDiagnosis.reasons(in: reason) }

  /// Says why the keeper's process could not be started, with advice for that error.
  public init(unstarted error: SystemError) {
    // The error may say it itself.
    if error.advice != nil {
      reason = "\(error)"
      return
    }
    let advice =
      switch error.code {
      case ENOENT, EACCES, ENOEXEC: "is the installation complete?"
      case _ where error.isExhaustion: "this host has no more: try again later"
      default: "ask your administrator"
      }
    reason = "\(error): \(advice)"
  }
}

/// A started keeper, seen from the other end of its lifeline.
public struct KeeperStart: ~Copyable {
  /// Milliseconds for the keeper's own start and end. They are added to the time it may wait.
  private static let margin = 3000
  /// Milliseconds that somebody waits without a word.
  private static let silence = 2000

  private let lifeline: FileDescriptor

  /// Starts a keeper.
  ///
  /// - Parameters:
  ///   - request: what the keeper is to do
  ///   - installation: the installation that has the keeper's program
  ///   - listeners: bound sockets, borrowed; the keeper gets copies
  ///   - logout: how the keeper survives a logout; `nil` for a keeper that need not
  /// - Throws: the reason why the process could not be started
  public init(
    _ request: KeeperRequest, _ installation: Installation, listeners: [CInt] = [],
    logout: Logout? = nil
  ) throws(KeeperFailure) {
    do throws(SystemError) {
      let null = try FileDescriptor.open("/dev/null", O_RDWR)
      let pair = try FileDescriptor.streamPair()
      let words = (logout?.launcher ?? []) + [installation.keeper] + request.words
      var program = Program(
        path: words[0], arguments: words, environment: KeeperStart.environment,
        descriptors: [null.raw, null.raw, null.raw, pair.right.raw] + listeners)
      program.raisesDescriptorLimit = true
      let ours = pair.left
      // Detached: srun gets no SIGCHLD when the keeper ends, and waits for its tasks alone.
      try program.startDetached()
      lifeline = consume ours
    } catch { throw KeeperFailure(unstarted: error) }
  }

  /// The keeper's environment; `nil` means this process's own.
  ///
  /// The keeper starts srun itself. If `PATH` has no srun, the folder of this program is appended.
  private static var environment: [ByteString]? {
    guard Program.find("srun") == nil, let folder = Host.programFolder,
      unsafe access(folder + "/srun", X_OK) == 0
    else { return nil }
    let path = Process.environment("PATH").map { "\($0):" } ?? ""
    return Process.environment().filter { !$0.hasPrefix("PATH=") } + ["PATH=\(path)\(folder)"]
  }

  /// Waits for the final report.
  ///
  /// - Parameters:
  ///   - seconds: the longest wait, before the margin
  ///   - whenLate: called once, after two seconds
  ///   - isFinal: whether a report ends the wait; a failure always ends it
  /// - Throws: a failure that the keeper reports, its early end, a signal, or the timeout
  public borrowing func hear(
    seconds: Int, whenLate: () -> Void = {}, until isFinal: (KeeperReport) -> Bool
  ) throws(KeeperFailure) -> KeeperReport {
    let limit = seconds * 1000 + KeeperStart.margin
    let began = Clock.milliseconds()
    let deadline = began + limit
    var isLate = false
    var heard = LineBuffer(longest: KeeperConnection.longestReport)
    while true {
      while let line = heard.next() {
        let report = try KeeperStart.report(line)
        if case .failed(let reason) = report { throw KeeperFailure(reason) }
        if isFinal(report) { return report }
      }
      let end = isLate ? deadline : min(deadline, began + KeeperStart.silence)
      switch lifeline.waitInterruptibly(milliseconds: max(0, end - Clock.milliseconds())) {
      case .readable: break
      case .late where end < deadline:
        isLate = true
        whenLate()
        continue
      case .late:
        throw KeeperFailure("the keeper did not answer within \(limit / 1000) seconds")
      case .interrupted: throw KeeperFailure("interrupted before it was there")
      }
      let more = try? lifeline.read(atMost: 4096)
      guard let more, !more.isEmpty, !heard.isOverlong else {
        throw KeeperFailure("the keeper ended without a word: see your administrator")
      }
      heard.append(more)
    }
  }

  private static func report(_ line: String) throws(KeeperFailure) -> KeeperReport {
    guard let report = KeeperReport(line: line) else {
      throw KeeperFailure(
        "the keeper said '\(printable(line))': is the installation complete?")
    }
    return report
  }

  /// Keeps the lifeline and drops the rest. The caller owns the descriptor.
  public consuming func intoLifeline() -> FileDescriptor { lifeline }
}
