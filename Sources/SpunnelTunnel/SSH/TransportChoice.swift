// Chooses how ssh reaches the node, and what to try when that fails.

import SpunnelSlurm
import SpunnelSystem

/// How ssh reaches a node.
public enum Transport: String, Equatable, Sendable {
  /// ssh to the site's sshd.
  case ssh
  /// ssh through srun to the user's own sshd inside the job.
  case srun
}

/// The transport in use, set by `transport=` or chosen by experience.
public struct TransportChoice: Sendable {
  /// Milliseconds during which a closed login is tried again before it counts as refused. The node
  /// may not know the job yet.
  static let grace = 2000
  /// Failures in a row after which a tunnel that was up tries the other transport.
  private static let persistence = 3

  private let wanted: Settings.Transport
  /// The transport of the next attempt.
  public private(set) var current: Transport
  /// What ssh said before srun replaced it; `nil` once the tunnel is up.
  public private(set) var refusal: SSHDiagnosis?
  private var wasUp = false
  private var failures = 0

  /// - Parameter wanted: `transport=` of the site or the user
  public init(_ wanted: Settings.Transport) {
    self.wanted = wanted
    current = wanted == .srun ? .srun : .ssh
  }

  /// Whether srun may still replace ssh before the tunnel is up.
  public var mayTurn: Bool { wanted == .auto && current == .ssh && !wasUp }

  /// Notes that the tunnel is up with the current transport.
  public mutating func succeeded() {
    wasUp = true
    failures = 0
    refusal = nil
  }

  /// Notes a failed attempt, and may change the transport.
  ///
  /// - Parameters:
  ///   - diagnosis: why the attempt failed
  ///   - elapsed: milliseconds since the first attempt
  /// - Returns: what to report; `nil` when the other transport is to be tried at once without a
  ///   report
  public mutating func failed(_ diagnosis: SSHDiagnosis, elapsed: Int) -> SSHDiagnosis? {
    if wanted != .auto { return diagnosis }
    if wasUp {
      failures += 1
      if failures.isMultiple(of: TransportChoice.persistence) { turn(diagnosis) }
      return diagnosis
    }
    if current == .srun {
      guard let refusal else { return diagnosis }
      return SSHDiagnosis(refusal, then: diagnosis)
    }
    let mayPass = diagnosis.retry == .untilTimeout && elapsed < TransportChoice.grace
    if !diagnosis.isRefusal || mayPass { return diagnosis }
    refusal = diagnosis
    current = .srun
    return nil
  }

  private mutating func turn(_ diagnosis: SSHDiagnosis) {
    switch current {
    case .ssh: if diagnosis.isRefusal { current = .srun }
    case .srun: current = .ssh
    }
  }
}

extension SSHDiagnosis {
  /// Whether a tunnel that failed so goes through srun instead (`transport=auto`).
  public var leadsThroughSrun: Bool { isRefusal }

  /// Whether the node refuses ssh, so that another transport may help.
  ///
  /// An unknown host key counts: the way through srun trusts no stored key. A changed host key,
  /// forbidden forwarding and a broken configuration do not count: a person has to look at them.
  var isRefusal: Bool {
    if isLocal { return false }
    return retry != .never || said.mentions("Could not resolve hostname")
      || said.mentions(SSHDiagnosis.unknownKey)
  }

  /// ssh did not log in within its share of the time.
  ///
  /// - Parameters:
  ///   - node: the node that ssh was to reach
  ///   - seconds: that share
  public init(silent node: NodeName, seconds: Int) {
    self.init(
      said: "ssh did not log in within \(seconds) seconds",
      advice: "see whether ssh \(node) works", retry: .briefly)
  }

  /// The words between the reasons of the two transports.
  private static let second = "; nor through srun: "

  /// Joins the failures of both transports, ssh's first; `reasons(in:)` separates them.
  public init(_ refusal: SSHDiagnosis, then diagnosis: SSHDiagnosis) {
    self.init(
      said: refusal.said,
      advice: "\(refusal.advice)\(SSHDiagnosis.second)\(diagnosis.message)", retry: diagnosis.retry)
  }

  /// The reasons in a line, one for each way that was tried.
  public static func reasons(in line: String) -> [String] {
    var reasons: [String] = []
    var rest = line[...]
    let mark = second.utf8
    var index = rest.startIndex
    while index < rest.endIndex {
      if rest[index...].utf8.starts(with: mark) {
        reasons.append(String(rest[..<index]))
        rest = rest[line.utf8.index(index, offsetBy: mark.count)...]
        index = rest.startIndex
      } else {
        index = rest.index(after: index)
      }
    }
    return reasons + [String(rest)]
  }
}
