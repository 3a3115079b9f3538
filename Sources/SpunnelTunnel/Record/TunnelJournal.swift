// The two lines of a tunnel in the host's syslog: who had which port when.

import Glibc
import SpunnelSlurm
import SpunnelSystem

public struct TunnelJournal: Sendable {
  /// Forwards that a line names: it has 1024 bytes.
  private static let mostForwards = 12

  private let step: StepName
  /// `nil`: no line is written.
  private let facility: SystemLog.Facility?
  private var begun: Int?

  public init(_ step: StepName, _ facility: SystemLog.Facility?) {
    (self.step, self.facility) = (step, facility)
  }

  /// The forwards are open. The first call alone counts.
  public mutating func begin(_ host: HostFile, _ status: Status) {
    if begun != nil { return }
    begun = Clock.milliseconds()
    send(TunnelJournal.beginning(step, user: getuid(), host, status))
  }

  /// The tunnel is over; nothing is told of one that never was open.
  ///
  /// - Parameter reason: why, in words
  public mutating func end(_ host: HostFile, _ status: Status, reason: String) {
    guard let begun else { return }
    self.begun = nil
    let seconds = (Clock.milliseconds() - begun) / 1000
    send(
      TunnelJournal.ending(
        step, user: getuid(), host, status, seconds: seconds, reason: reason))
  }

  /// For a keeper that was killed: its record tells what it wrote last.
  public static func endOfKilled(_ record: Record, _ facility: SystemLog.Facility?) {
    guard let facility, let (host, status) = record.content, status.state != .waiting else {
      return
    }
    let seconds = max(0, Clock.wallMilliseconds() - status.started) / 1000
    SystemLog.send(
      ending(
        record.step, user: getuid(), host, status, seconds: seconds,
        reason: "its keeper was killed"), facility: facility)
  }

  private func send(_ line: String) {
    if let facility { SystemLog.send(line, facility: facility) }
  }

  static func beginning(
    _ step: StepName, user: uid_t, _ host: HostFile, _ status: Status
  ) -> String {
    "begin \(whose(step, user)) \(whither(host)) transport=\(status.transport?.rawValue ?? "ssh")"
  }

  static func ending(
    _ step: StepName, user: uid_t, _ host: HostFile, _ status: Status, seconds: Int, reason: String
  ) -> String {
    "end \(whose(step, user)) \(whither(host)) seconds=\(seconds) connections=\(status.accepted) "
      + "refused=\(status.refused) sent=\(status.sent) received=\(status.received) "
      + "reason=\"\(printable(reason.split(separator: "\"").joined(separator: "'")))\""
  }

  private static func whose(_ step: StepName, _ user: uid_t) -> String {
    // By number: the keeper loads nothing that looks names up.
    "uid=\(user) job=\(step.job) step=\(step.stepLabel)"
  }

  private static func whither(_ host: HostFile) -> String {
    let forwards = host.forwards.prefix(mostForwards).map { printable($0.description) }
    let more = host.forwards.count - mostForwards
    let nodes = host.nodes.prefix(4).map(\.description) + (host.nodes.count > 4 ? ["…"] : [])
    return "nodes=\(nodes.joined(separator: ",")) forwards=\(forwards.joined(separator: ","))"
      + (more > 0 ? ",+\(more)" : "")
  }
}
