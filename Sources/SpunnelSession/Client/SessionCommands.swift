// The command lines of Slurm's own programs that start a session and lead into it.

import SpunnelSystem

/// Where the parts of a session are installed, on the login host and on the nodes alike.
package struct SessionPrograms: Sendable {
  /// `/opt/spunnel/libexec/spunnel`
  package let folder: String

  package init(folder: String) { self.folder = folder }

  package var holder: String { folder + "/spunnel-session" }
  package var script: String { folder + "/session" }

  /// The words of sbatch.
  ///
  /// - Parameters:
  ///   - words: what was typed
  ///   - environment: whose `SBATCH_` variables stand above our defaults
  package func sbatch(_ words: StartWords, environment: [ByteString]) -> [ByteString] {
    func isSet(_ name: String) -> Bool {
      SessionEnvironment.value(of: name, in: environment) != nil
    }
    var all: [ByteString] = ["--parsable"]
    // Before the user's: the last one counts. A shell's output is at its terminal.
    if !isSet("SBATCH_OUTPUT") { all.append("--output=/dev/null") }
    if !isSet("SBATCH_COMMENT") { all.append("--comment=\(SessionMark.comment)") }
    if words.notifies, words.detaches { all.append("--mail-type=BEGIN") }
    all += words.sbatchWords
    all += ["--", ByteString(script), ByteString(holder), "hold", ByteString(words.kind)]
    all += words.holderWords.map { ByteString($0) }
    return words.command.isEmpty ? all : all + ["--"] + words.command
  }

  /// The words of srun for a step beside whatever the job does, on the job's first node, taking nothing
  /// from it.
  ///
  /// - Parameter exports: names of variables that the step gets besides Slurm's own
  package static func step(job: String, exports: [String]) -> [String] {
    [
      "--jobid=\(job)", "--nodes=1", "--ntasks=1", "--relative=0", "--job-name=spunnel",
      "--overlap", "--mem=0", "--gres=none", "--mpi=none", "--chdir=/",
      "--propagate=NONE", "--kill-on-bad-exit=0",
      "--export=" + (exports.isEmpty ? "NONE" : exports.joined(separator: ",")),
    ]
  }

  /// The words of srun that show a session at this terminal.
  package func attach(job: String, _ manner: AttachManner) -> [String] {
    SessionPrograms.step(job: job, exports: ["TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE"])
      + ["--pty", holder, "attach", manner.rawValue]
  }

  /// The words of srun that print a session's record.
  package func tell(job: String) -> [String] {
    SessionPrograms.step(job: job, exports: []) + [holder, "tell"]
  }

  /// This process's environment without what would make srun part of another step or open a tunnel.
  package static func environment(from inherited: [ByteString]) -> [ByteString] {
    let foreign = ["SLURM", "SRUN_", "_SLURM", "SPUNNEL_"]
    return inherited.filter { entry in
      entry.hasPrefix("SLURM_CONF=") || !foreign.contains { entry.hasPrefix($0) }
    }
  }

  /// sbatch's answer under `--parsable`: the job's number, whatever else was said.
  ///
  /// - Returns: the number, and the other lines
  package static func submitted(_ output: String) -> (job: String?, others: [String]) {
    var lines = output.split(separator: "\n").map(String.init)
    let index = lines.lastIndex { line in
      let number = line.split(separator: ";", maxSplits: 1)[0]
      return !number.isEmpty && number.utf8.allSatisfy { 0x30...0x39 ~= $0 }
    }
    guard let index else { return (nil, lines) }
    let job = lines.remove(at: index).split(separator: ";")[0]
    return (String(job), lines)
  }
}
