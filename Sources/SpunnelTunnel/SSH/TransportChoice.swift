// Which way ssh reaches the node, and what becomes of that when it fails.

import SpunnelSlurm
import SpunnelSystem

/// A way to the node.
public enum Transport: String, Equatable, Sendable {
  /// ssh to the site's own sshd.
  case ssh
  /// ssh through srun to an sshd of the user's own, inside the job.
  case srun
}

/// The way that is taken now, chosen by a person (`transport=`) or by what happens.
public struct TransportChoice: Sendable {
  /// Milliseconds for which a login that is closed is tried again before it counts as refused: the
  /// node may not know the job yet.
  static let grace = 2000
  /// Failures in a row after which a tunnel that was up tries the other way.
  private static let persistence = 3

  private let wanted: Settings.Transport
  /// To be taken by the next attempt.
  public private(set) var current: Transport
  /// What ssh said when it was given up for srun, until the tunnel is up.
  public private(set) var refusal: SSHDiagnosis?
  private var wasUp = false
  private var failures = 0

  public init(_ wanted: Settings.Transport) {
    self.wanted = wanted
    current = wanted == .srun ? .srun : .ssh
  }

  /// Whether ssh may still be given up for srun before the tunnel is up.
  public var mayTurn: Bool { wanted == .auto && current == .ssh && !wasUp }

  /// The tunnel is up this way.
  public mutating func succeeded() {
    wasUp = true
    failures = 0
    refusal = nil
  }

  /// Notes a failed attempt.
  ///
  /// - Parameters:
  ///   - diagnosis: why it failed
  ///   - elapsed: milliseconds since the first attempt
  /// - Returns: what to tell, `nil` when the other way is to be tried at once and untold
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
  /// Whether the node, or the way to it, keeps ssh out, so that another way is worth trying. A host
  /// key that is unknown is such a reason: srun's way trusts no stored key. A host key that changed,
  /// forwarding that is forbidden and a configuration that is broken are for a person to look at.
  var isRefusal: Bool {
    if isLocal { return false }
    return retry != .never || said.mentions("Could not resolve hostname")
      || said.mentions(SSHDiagnosis.unknownKey)
  }

  /// ssh could not log in in its share of the time.
  ///
  /// - Parameter seconds: that share
  public init(silent node: NodeName, seconds: Int) {
    self.init(
      said: "ssh did not log in within \(seconds) seconds",
      advice: "see whether ssh \(node) works", retry: .briefly)
  }

  /// Both ways failed: one line for the two, ssh's words first.
  public init(_ refusal: SSHDiagnosis, then diagnosis: SSHDiagnosis) {
    self.init(
      said: "\(refusal.said); and through srun: \(diagnosis.said)",
      advice: "\(refusal.advice); or for srun: \(diagnosis.advice)", retry: diagnosis.retry)
  }
}
