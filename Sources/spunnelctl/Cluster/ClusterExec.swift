// `spunnelctl cluster env` and `exec`: make Slurm's own commands use the user's cluster.

import Glibc
import SpunnelCluster
import SpunnelCLI
import SpunnelSystem

enum ClusterEnvironment {
  static let spec = CommandSpec(
    "env", "Print what a shell evaluates, so that Slurm's commands mean the cluster.",
    options: [Output.json, shell],
    details: "The shell is that of SHELL, unless --shell names another.",
    examples: [
      .init("eval \"$(spunnelctl cluster env)\"", "Let srun in this shell mean the cluster."),
      .init("source (spunnelctl cluster env --shell fish | psub)", "The same in fish."),
    ], action: run)

  private static let shell = Option(
    "shell", "SHELL", ValueKind<Shell>.choice, "Write for sh, csh or fish.")

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let cluster = try ClusterOptions.cluster(call)
    let change = try clustering(call) { () throws(ClusterError) in try cluster.environment() }
    try Output(call).tell(EnvironmentReport(change: change, shell: call[shell] ?? .current))
    return .success
  }
}

enum ClusterExec {
  static let spec = CommandSpec(
    "exec", "Run a command, so that Slurm's commands in it mean the cluster.",
    programWords: .init(.afterOperands, isRequired: true),
    details: "The options of exec stand before the command.",
    examples: [.init("spunnelctl cluster exec srun hostname", "Run srun on the cluster.")],
    exitStatuses: [("any", "that of the command")], action: run)

  /// Replaces this process by the command.
  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    // The words as bytes: as text, bytes that are not UTF-8 would be lost.
    let arguments = call.program
    guard let command = arguments.first else { return .usage }
    let cluster = try ClusterOptions.cluster(call)
    let change = try clustering(call) { () throws(ClusterError) in try cluster.environment() }
    let environment = change.applied(to: Process.environment())
    let folders = environment.first { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? "/usr/bin:/bin"
    guard let path = Program.find(command, searchPath: folders) else {
      throw .failure("\(call.name): '\(printable(command.text))': no such command on PATH")
    }
    warnOfAccounting(arguments.map(\.text))
    let program = Program(
      path: path, arguments: arguments, environment: environment, descriptors: [])
    do throws(SystemError) { try program.replace() } catch {
      throw .failure("\(call.name): \(error)")
    }
    return .failure
  }

  /// Warns before a command that needs slurmdbd. Slurm's own message comes after it and says less.
  private static func warnOfAccounting(_ words: [String]) {
    let command = words[0].split(separator: "/").last ?? ""
    guard ["sacct", "sacctmgr", "sreport", "sshare"].contains(command) else { return }
    // With this option sacct reads the file of finished jobs.
    if words.contains("-c") || words.contains("--completion") { return }
    remark(
      "spunnelctl: \(command) asks slurmdbd, which a cluster of your own does not have; finished "
        + "jobs: scontrol show job (for a quarter of an hour), sacct --completion, log/jobs.log")
  }
}
