// spunnelctl open: a tunnel into a job that runs already, or will; more forwards for one that is
// there.

import Glibc
import SpunnelOutput
import SpunnelSystem
import SpunnelTunnel

enum OpenCommand: Command {
  static let name = "open"
  static let synopsis = "JOB[.STEP] SPEC… [--wait] [--background] [--json] [--state-dir DIR]"
  static let summary = "Open a tunnel into a job of yours, or more forwards of one."
  static let details = """
      --wait            wait for a job that is pending
      --background      leave it open; it ends with the job, or by spunnelctl close
      --json            a JSON object on a line each time something has become of it, described in
                        man spunnelctl
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    SPEC is what srun --tunnel takes: 8001:8000, :8000 for a free port of this host, 8001:n2:8000
    for another node, and more (man spunnel). Without --background the forwards are there until
    Ctrl-C or the end of the job, and what befalls them is told in a line. A tunnel that is there is
    used; it needs no second login. JOB may also be a task of an array (12_3) or a component of a
    heterogeneous job (12+1); of JOB.STEP the tunnel ends with the step.

    Exit status: 0 when the job ended or the forwards were closed, 1 when they failed.
    """

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    var rest = option.rest
    let output = Output(taking: &rest)
    // ssh's own options of forwards are told of as specs.
    let flags = rest.filter { $0.hasPrefix("-") && !SpecError.isOptionOfSSH($0) }
    if let unknown = flags.first(where: { $0 != "--wait" && $0 != "--background" }) {
      throw .usage("open: '\(printable(unknown))' is no option")
    }
    rest.removeAll { flags.contains($0) }
    guard let job = rest.first else {
      throw .usage("open: name a job and what to forward, as in spunnelctl open 12 8001:8000")
    }
    try TunnelArgument.check(job)
    if rest.count == 1 {
      throw .usage("open: name what to forward, as in spunnelctl open \(job) 8001:8000")
    }
    let spec: TunnelSpec
    do throws(SpecError) { spec = try TunnelSpec(rest.dropFirst().joined(separator: ",")) } catch {
      throw .usage("open: \(error)")
    }
    var request = OpenRequest(
      job: job, spec: spec, option: option, waits: flags.contains("--wait"),
      isHeld: !flags.contains("--background"), output: output)
    try request.run()
  }
}
