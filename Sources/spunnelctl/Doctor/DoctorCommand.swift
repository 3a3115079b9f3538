// spunnelctl doctor and check-config: whether everything is there that a tunnel needs, and what to do.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

enum DoctorCommand {
  private static let node = Operand("NODE", .text, .optional)

  static let spec = CommandSpec(
    "doctor", "Look at everything that a tunnel needs, and say what to do.",
    operands: [node], options: [Output.json],
    details: """
      Each line tells what was looked for and what was found; a line "do:" below it tells what to do.
      With a NODE, ssh to it is tried, and a job of a second or two opens a real tunnel to it, by ssh and
      through srun, as the site's transport= allows. Type it as a user who has tunnels: root has other
      rights.
      """,
    examples: [
      .init("spunnelctl doctor", "Look at the plugin, the installation, Slurm and this host."),
      .init("spunnelctl doctor n1", "Open tunnels to n1 as well."),
    ],
    exitStatuses: [
      ("0", "All is well."), ("1", "Something is wrong, or could not be found out."),
      ("2", "The command line makes no sense."),
    ], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    var wanted: NodeName?
    if let word = call.first(node) {
      guard let name = NodeName(word) else {
        throw .usage("doctor: '\(printable(word))' is no node's name: sinfo --Node lists them")
      }
      wanted = name
    }
    var checks: [Check] = []
    let site = try SitePlace.find()
    let settings = site.settings
    checks += site.checks
    if site.checks.allSatisfy(\.isWell) { checks += PluginChecks.slurm() }
    if let installation = Installation.current {
      checks += InstallationChecks.run(installation)
    } else {
      checks.append(
        .wrong("installation", "this command", Installation.absence, "run the installed spunnelctl")
      )
    }
    checks += SlurmChecks.run() + HostChecks.run(settings)
    if let wanted { checks += NodeChecks.run(wanted, settings) }
    let report = CheckReport(checks: checks)
    let output = Output(call)
    try output.tell(report)
    if wanted == nil { output.remark("spunnelctl: doctor NODE tries the way to a node as well") }
    return report.isWell ? .success : .failure
  }
}

enum CheckConfigCommand {
  private static let file = Operand("FILE", ValueKind<String>.file, .optional)

  static let spec = CommandSpec(
    "check-config", "Check the plugin's line in plugstack.conf, as sshd -t does.",
    operands: [file], options: [Output.json],
    details: """
      FILE is a plugstack.conf that is not in use yet; otherwise it is the one that slurm.conf names, or
      the one beside slurm.conf. Says nothing when all is well.
      """,
    examples: [
      .init("spunnelctl check-config", "Check the site's own."),
      .init("spunnelctl check-config ./plugstack.conf", "Check one before it is put in place."),
    ],
    exitStatuses: [
      ("0", "All is well."), ("1", "A line on standard error tells what is wrong, and where."),
      ("2", "The command line makes no sense."),
    ], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let checks: [Check]
    if let named = call.first(file) {
      guard unsafe access(named, R_OK) == 0 else {
        throw .failure("check-config: '\(printable(named))': \(SystemError("open", errno).reason)")
      }
      // Slurm takes what such a file includes from the file's own folder.
      checks = PluginChecks.configuration(named, PluginLine.lines(in: named))
    } else {
      checks = try SitePlace.find().checks
    }
    if call[Output.json] { try Output(call).tell(CheckReport(checks: checks)) }
    let wrong = checks.filter { !$0.isWell }
    if wrong.isEmpty { return .success }
    if call[Output.json] { return .failure }
    throw .failures(wrong.map { "check-config: \($0.found): \($0.advice ?? "")" })
  }
}

/// The plugin's line as this host finds it.
private struct SitePlace {
  let checks: [Check]
  /// The site's, or the defaults where its line cannot be read.
  let settings: Settings

  static func find() throws(CommandError) -> SitePlace {
    let (group, name) = ("plugin", "slurm.conf")
    // Where Slurm's library cannot be asked, another check says why.
    guard let path = try StateOption.slurmConfiguration() ?? UsualConfiguration.path else {
      return SitePlace(
        checks: [
          .wrong(
            group, name, "Slurm's library finds none on this host",
            "install Slurm's configuration here, or set SLURM_CONF")
        ], settings: Settings())
    }
    guard let stack = PluginLine.stack(slurmConfiguration: path) else {
      return SitePlace(
        checks: [
          .wrong(
            group, name, "\(path): PlugStackConfig= is no absolute path",
            "write the whole path of plugstack.conf")
        ], settings: Settings())
    }
    let lines = PluginLine.lines(in: stack)
    let settings = lines.first.flatMap { try? Settings(arguments: $0.arguments) }
    return SitePlace(
      checks: [.well(group, name, path)] + PluginChecks.configuration(stack, lines),
      settings: settings ?? Settings())
  }
}
