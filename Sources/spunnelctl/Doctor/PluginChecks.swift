// Checks of the plugin: its line in plugstack.conf, its arguments, its file, and whether srun loads it.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

enum PluginChecks {
  private static let group = "plugin"

  /// - Parameters:
  ///   - stack: the path of plugstack.conf
  ///   - lines: of the plugin there
  static func configuration(_ stack: String, _ lines: [StackLine]) -> [Check] {
    guard let line = lines.first else {
      return [
        .wrong(
          group, "line in plugstack.conf", "no line loads spunnel.so in \(stack)",
          "add 'optional \(Installation.current?.libraries ?? "/opt/spunnel/lib/spunnel")/spunnel.so'"
        )
      ]
    }
    var checks: [Check] = []
    if lines.count > 1 {
      checks.append(
        .wrong(
          group, "line in plugstack.conf",
          "\(lines.count) lines load the plugin: \(lines.map(\.place).joined(separator: ", "))",
          "leave one of them: Slurm would register --tunnel twice"))
    } else {
      let word = line.isRequired ? "required" : "optional"
      checks.append(.well(group, "line in plugstack.conf", "\(line.place): \(word) \(line.plugin)"))
    }
    return checks + lines.map(arguments) + lines.flatMap(file)
  }

  static func arguments(_ line: StackLine) -> Check {
    let name = "arguments of the line"
    do throws(SettingsError) {
      _ = try Settings(arguments: line.arguments)
      let shown = line.arguments.isEmpty ? "none" : line.arguments.joined(separator: " ")
      return .well(group, name, shown)
    } catch {
      return .wrong(
        group, name, "\(line.place): \(error)",
        "correct the line: until then each srun --tunnel fails")
    }
  }

  /// The plugin's file: every srun loads it, and slurmd does as root.
  private static func file(_ line: StackLine) -> [Check] {
    let name = "the plugin's file"
    guard line.plugin.hasPrefix("/") else {
      return [
        .well(group, name, "\(line.plugin), in Slurm's own PluginDir: Slurm finds it there")
      ]
    }
    var found = stat()
    if unsafe stat(line.plugin, &found) != 0 {
      let reason = SystemError("open", errno).reason
      let advice =
        line.isRequired
        ? "install Spunnel there on every host: until then no srun works"
        : "install Spunnel there on every host"
      return [.wrong(group, name, "\(line.plugin): \(reason)", advice)]
    }
    let exposure = try? Directory.exposure(along: SiteFile.folder(of: line.plugin), user: 0)
    if let exposure = exposure ?? nil {
      return [
        .wrong(
          group, name, "\(exposure.path): \(exposure.why)",
          "let root alone change it: slurmd loads the plugin as root")
      ]
    }
    if found.st_uid != 0 || found.st_mode & 0o022 != 0 {
      let mode = String(found.st_mode & 0o7777, radix: 8)
      return [
        .wrong(
          group, name,
          "\(line.plugin) has mode \(mode) and belongs to \(Host.userName(of: found.st_uid))",
          "chown root and chmod 755 it: slurmd loads the plugin as root")
      ]
    }
    return [.well(group, name, line.plugin)]
  }

  /// Whether the Slurm here is the one that the plugin was built for, and loads it.
  static func slurm() -> [Check] {
    let versions = VersionReport.current()
    let shown = versions.lines.dropFirst().first ?? ""
    let name = "built for the Slurm here"
    let build =
      versions.fits && versions.isKnown
      ? Check.well(group, name, shown)
      : versions.fits
        ? .unknown(group, name, shown, "put Slurm's srun on PATH")
        : .wrong(
          group, name, shown,
          "build spunnel-slurm again for the Slurm here: make slurm && make install-slurm")
    return [build, option(Asked(["srun", "--help"], milliseconds: 20_000))]
  }

  /// - Parameter help: what `srun --help` said
  static func option(_ help: Asked) -> Check {
    let name = "--tunnel in srun --help"
    switch help {
    case .nothing(let reason):
      return .unknown(group, name, reason, "put Slurm's srun on PATH")
    case .said(let result):
      let lines = result.output.split(separator: "\n")
      if lines.contains(where: { $0.mentions("--tunnel=") }) {
        return .well(group, name, "srun has the option")
      }
      let complaint = lines.first { $0.mentions("error:") && $0.mentions("spunnel") }
      let said = complaint.map { ": srun says '\(printable($0))'" } ?? ""
      return .wrong(
        group, name, "srun has no such option\(said)",
        "mend what stands above; srun reads plugstack.conf anew each time")
    }
  }
}
