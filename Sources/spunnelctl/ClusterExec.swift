// spunnelctl cluster env and exec: Slurm's own commands, meaning the user's cluster.

import Glibc
import SpunnelCluster
import SpunnelOutput
import SpunnelSystem

enum ClusterExec {
  /// Prints what a POSIX shell evaluates.
  static func printEnvironment(_ words: [String]) throws(ClusterFailure) {
    let options = try ClusterOptions(words, flags: ["--json"])
    let cluster = try options.cluster()
    let change = try clustering { () throws(ClusterError) in try cluster.environment() }
    Output(isJSON: options.flags.contains("--json")).tell(EnvironmentReport(change: change))
  }

  /// Becomes the command.
  static func run(_ words: [String]) throws(ClusterFailure) {
    let options = try ClusterOptions(words, takesRest: true)
    // As they came: in text, what is no UTF-8 was replaced.
    let arguments = Array(Process.arguments().suffix(options.rest.count))
    guard let command = arguments.first else {
      throw .usage("exec: name a command, as in spunnelctl cluster exec srun hostname")
    }
    let cluster = try options.cluster()
    let change = try clustering { () throws(ClusterError) in try cluster.environment() }
    let environment = change.applied(to: Process.environment())
    let path = environment.first { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? "/usr/bin:/bin"
    guard let program = Program.find(command, searchPath: path) else {
      throw .other("'\(printable(command.text))': no such command on PATH")
    }
    warnOfAccounting(options.rest)
    let call = Program(
      path: program, arguments: arguments, environment: environment, descriptors: [])
    do throws(SystemError) { try call.replace() } catch { throw .other("\(error)") }
  }

  /// Said where one stumbles on it, and before Slurm's own, shorter word.
  private static func warnOfAccounting(_ words: [String]) {
    let command = words[0].split(separator: "/").last ?? ""
    guard ["sacct", "sacctmgr", "sreport", "sshare"].contains(command) else { return }
    // What has finished is also in a file, which sacct can read.
    if words.contains("-c") || words.contains("--completion") { return }
    say(
      "spunnelctl: \(command) asks slurmdbd, which a cluster of your own does not have; finished "
        + "jobs: scontrol show job (for an hour), sacct --completion, log/jobs.log", to: .error)
  }
}
