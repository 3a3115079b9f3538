// Starts a keeper and hears what it reports: from srun, from sbatch and from spunnelctl.

import Glibc
import SpunnelSystem

/// Why there is no tunnel, in one line.
public struct KeeperFailure: Error, Equatable {
  public let reason: String

  public init(_ reason: String) { self.reason = reason }

  /// The keeper could not be started.
  public init(unstarted error: SystemError) {
    let advice =
      switch error.code {
      case EMFILE: "raise the limit of open files, ulimit -n"
      case EAGAIN: "raise the limit of processes, ulimit -u, or end some"
      case ENOENT, EACCES, ENOEXEC: "is Spunnel installed as a whole?"
      case _ where error.isExhaustion: "this host has no more: try again later"
      default: "ask your administrator"
      }
    reason = "\(error): \(advice)"
  }
}

/// A keeper that was started, at the other end of its lifeline.
public struct KeeperStart: ~Copyable {
  /// Milliseconds for the keeper's own start and end, on top of what it waits for.
  private static let margin = 3000

  private let lifeline: FileDescriptor

  /// - Parameters:
  ///   - installation: whose keeper is started
  ///   - listeners: bound sockets that the keeper gets copies of, borrowed
  ///   - logout: for a keeper that is to outlive the login
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
      // Its end is no news for srun: it waits for its tasks alone.
      try program.startDetached()
      lifeline = consume ours
    } catch { throw KeeperFailure(unstarted: error) }
  }

  /// The keeper starts srun for its ways: where PATH has none, the one beside the program that this is.
  private static var environment: [ByteString]? {
    guard Program.find("srun") == nil, let folder = Host.programFolder,
      unsafe access(folder + "/srun", X_OK) == 0
    else { return nil }
    let path = Process.environment("PATH").map { "\($0):" } ?? ""
    return Process.environment().filter { !$0.hasPrefix("PATH=") } + ["PATH=\(path)\(folder)"]
  }

  /// Hears reports until one is final.
  ///
  /// - Parameters:
  ///   - seconds: the longest wait
  ///   - isFinal: whether a report is what was waited for; a failure always is
  public borrowing func hear(
    seconds: Int, until isFinal: (KeeperReport) -> Bool
  ) throws(KeeperFailure) -> KeeperReport {
    let limit = seconds * 1000 + KeeperStart.margin
    let deadline = Clock.milliseconds() + limit
    var heard = LineBuffer(longest: KeeperConnection.longestReport)
    while true {
      while let line = heard.next() {
        let report = try KeeperStart.report(line)
        if case .failed(let reason) = report { throw KeeperFailure(reason) }
        if isFinal(report) { return report }
      }
      switch lifeline.waitInterruptibly(milliseconds: max(0, deadline - Clock.milliseconds())) {
      case .readable: break
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
        "the keeper said '\(printable(line))': is Spunnel installed as a whole?")
    }
    return report
  }

  /// Keeps the lifeline alone.
  public consuming func intoLifeline() -> FileDescriptor { lifeline }
}
