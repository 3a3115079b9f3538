// Checks of Slurm itself: munge, slurmctld, the clocks, and the ports that srun needs.

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

enum SlurmChecks {
  private static let group = "Slurm"
  /// Munge refuses a credential after five minutes by default, and one from the future at once.
  static let mostSkew = 60
  /// A tunnel through srun takes three ports, and leaves the user's own srun three more.
  static let portsNeeded = 6

  static func run() -> [Check] {
    [
      munge(Asked(["munge", "-n"], milliseconds: 5000)),
      controller(Asked(["scontrol", "ping"], milliseconds: 15_000)),
      clock(Asked(["sdiag"], milliseconds: 15_000), now: Clock.wallMilliseconds() / 1000),
      ports(SrunPorts.site()),
    ]
  }

  static func munge(_ answer: Asked) -> Check {
    let name = "munge answers"
    switch answer {
    case .nothing(let reason) where reason.hasPrefix("no program"):
      return .absent(group, name, "no munge here: Slurm authenticates otherwise")
    case .nothing(let reason):
      return .wrong(group, name, reason, "start munged on this host: systemctl start munge")
    case .said(let result):
      return result.succeeded
        ? .well(group, name, "it signs")
        : .wrong(
          group, name, printable(result.lastLine),
          "start munged on this host: systemctl start munge")
    }
  }

  static func controller(_ answer: Asked) -> Check {
    let name = "slurmctld answers"
    let advice = "see whether slurmctld runs and its host is reached: scontrol ping"
    switch answer {
    case .nothing(let reason): return .wrong(group, name, reason, advice)
    case .said(let result):
      let lines = result.output.split(separator: "\n")
      if let up = lines.first(where: { $0.hasSuffix("is UP") || $0.hasSuffix(" UP") }) {
        return .well(group, name, printable(up))
      }
      return .wrong(group, name, printable(result.lastLine), advice)
    }
  }

  /// - Parameters:
  ///   - answer: of sdiag, which tells slurmctld's time: `sdiag output at Mon Nov 30 … (1796057550)`
  ///   - now: this host's time, in seconds since 1970
  static func clock(_ answer: Asked, now: Int) -> Check {
    let name = "this host's clock"
    guard case .said(let result) = answer, let time = time(in: result.output) else {
      let reason = if case .nothing(let reason) = answer { reason } else { "sdiag tells no time" }
      return .unknown(group, name, reason, "see whether sdiag works")
    }
    let skew = now - time
    if abs(skew) <= mostSkew {
      return .well(group, name, "\(abs(skew)) seconds from slurmctld's")
    }
    return .wrong(
      group, name, "\(abs(skew)) seconds \(skew > 0 ? "ahead of" : "behind") slurmctld's",
      "set the clocks by NTP: munge refuses what is too old or from the future")
  }

  private static func time(in output: String) -> Int? {
    guard let line = output.split(separator: "\n").first(where: { $0.mentions("output at") }),
      let open = line.lastIndex(of: "("), let close = line.lastIndex(of: ")"), open < close
    else { return nil }
    return wholeNumber(line[line.index(after: open)..<close])
  }

  static func ports(_ site: SrunPorts?) -> Check {
    let name = "ports for srun"
    guard let site else { return .well(group, name, "no SrunPortRange: any free port will do") }
    let free = site.free(atMost: portsNeeded)
    if free >= portsNeeded {
      return .well(
        group, name, "SrunPortRange=\(site.description): \(portsNeeded) or more are free")
    }
    return .wrong(
      group, name, "SrunPortRange=\(site.description): \(free) are free", SrunPorts.advice)
  }
}
