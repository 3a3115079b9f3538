// Checks of the way to one node: ssh without a question, and a real tunnel each way.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

enum NodeChecks {
  /// Seconds that a job for a moment may wait for its node.
  private static let queuePatience = 20
  /// Milliseconds for the job with its tunnel.
  private static let tunnelPatience = 60_000

  static func run(_ node: NodeName, _ settings: Settings) -> [Check] {
    var checks: [Check] = []
    if settings.transport != .srun {
      checks += ssh(askSSH(node, settings), node, settings.transport)
      checks.append(tunnel(.ssh, askTunnel(node, "ssh"), node))
    }
    if settings.transport != .ssh { checks.append(tunnel(.srun, askTunnel(node, "srun"), node)) }
    return checks
  }

  private static func group(_ node: NodeName) -> String { "node \(node)" }

  /// Has the node's sshd connect to a port of its own where nothing listens: the answer tells of the host key,
  /// of the login and of forwarding.
  private static func askSSH(_ node: NodeName, _ settings: Settings) -> Asked {
    Asked(
      settings.sshCommand
        + ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ControlPath=none"]
        + ["-o", "LogLevel=INFO"] + settings.sshArguments
        + ["-W", "localhost:1", "--", node.description],
      milliseconds: 20_000)
  }

  /// - Parameter way: what the site has chosen: with `auto` a node that refuses ssh is served through srun
  static func ssh(_ answer: Asked, _ node: NodeName, _ way: Settings.Transport) -> [Check] {
    let (login, forwards) = ("ssh without a question", "sshd forwards")
    let group = group(node)
    let lines: [String]
    switch answer {
    case .nothing(let reason):
      return [.wrong(group, login, reason, "see whether ssh \(node) works")]
    case .said(let result):
      lines = result.output.split { $0 == "\n" || $0 == "\r\n" || $0 == "\r" }.map(String.init)
    }
    let isIn = Check.well(group, login, "host key and login are accepted")
    if lines.contains(where: { $0.mentions("administratively prohibited") }) {
      let diagnosis = SSHDiagnosis(refusal: "administratively prohibited", node: node)
      return [
        isIn, .wrong(group, forwards, "sshd on \(node) forbids forwarding", diagnosis.message),
      ]
    }
    // The port is one where nothing listens, or, where something does, it was reached.
    let isConnected = lines.isEmpty || lines.contains { $0.mentions("connect failed") }
    if isConnected { return [isIn, .well(group, forwards, "it does")] }
    if lines.contains(where: { $0.mentions("active jobs on this node") }) {
      return [.well(group, login, "\(node) lets in users with a job there alone (pam_slurm_adopt)")]
    }
    let diagnosis = SSHDiagnosis(lines: SSHDiagnosis.reasons(lines), node: node, exitCode: 255)
    if way == .auto, diagnosis.leadsThroughSrun {
      return [
        .well(group, login, "\(diagnosis.said): tunnels to \(node) go through srun")
      ]
    }
    return [.wrong(group, login, diagnosis.said, diagnosis.advice)]
  }

  /// A job for a moment, with a tunnel that leads nowhere in particular.
  private static func askTunnel(_ node: NodeName, _ way: String) -> Asked {
    Asked(
      [
        "srun", "--immediate=\(queuePatience)", "--nodelist=\(node)", "--nodes=1", "--ntasks=1",
        "--time=2", "--job-name=spunnel-doctor", "--tunnel=D:", "true",
      ], milliseconds: tunnelPatience,
      environment: ["SPUNNEL_TRANSPORT=\(way)", "SPUNNEL_WAIT=1"])
  }

  static func tunnel(_ way: Transport, _ answer: Asked, _ node: NodeName) -> Check {
    let group = group(node)
    let name = way == .ssh ? "a tunnel by ssh" : "a tunnel through srun"
    switch answer {
    case .nothing(let reason):
      return .unknown(group, name, reason, "see whether srun --nodelist=\(node) true works")
    case .said(let result):
      let lines = result.output.split(separator: "\n").map(String.init)
      if let failure = lines.first(where: { $0.mentions("spunnel: no tunnel: ") }) {
        let reason = words(of: failure)
        let parts = reason.split(separator: ": ").map(String.init)
        return .wrong(group, name, reason, parts.last ?? reason)
      }
      if lines.contains(where: { $0.mentions("-> SOCKS, through") }) {
        return .well(group, name, "it was open before the task started")
      }
      if result.succeeded { return .well(group, name, "srun ended with 0") }
      let said = lines.last { $0.mentions("srun: ") } ?? result.lastLine
      return .unknown(
        group, name, printable(said), "see whether srun --nodelist=\(node) true works, or try later"
      )
    }
  }

  /// Behind `spunnel: no tunnel: `.
  private static func words(of line: String) -> String {
    let mark = "spunnel: no tunnel: "
    var rest = Substring(line)
    while !rest.isEmpty, !rest.hasPrefix(mark) { rest = rest.dropFirst() }
    return printable(rest.dropFirst(mark.count), atMost: 600)
  }
}
