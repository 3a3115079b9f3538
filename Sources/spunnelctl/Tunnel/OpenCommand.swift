// `spunnelctl open`: opens a tunnel into a running or waiting job, or adds forwards to its tunnel.

import Glibc
import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

enum OpenCommand {
  private static let job = Operand("JOB[.STEP]", .job)
  private static let specs = Operand("SPEC", .spec, .some)
  private static let wait = Flag("wait", "Wait for a job that is pending.")
  private static let background = Flag(
    "background", "Leave it open; it ends with the job, or by spunnelctl close.")
  private static let json = Flag(
    "json", "Print a JSON object on a line each time something has become of it.")

  static let spec = CommandSpec(
    "open", "Open a tunnel into a job of yours, or more forwards of one.",
    operands: [job, specs], options: [wait, background, json, StateOption.option],
    details: """
      SPEC is what srun --tunnel takes: 8001:8000, :8000 for a free port of this host, 8001:n2:8000
      for another node, and more (man spunnel). Without --background the forwards are there until
      Ctrl-C or the end of the job, and a line tells what befalls them. If the job has a tunnel
      already, that tunnel is used, and there is no second login. JOB may also be a job's name, a
      task of an array (12_3) or a component of a heterogeneous job (12+1). The tunnel of JOB.STEP
      ends with the step.
      """,
    examples: [
      .init("spunnelctl open 12 8001:8000", "Reach port 8000 of the job's node at port 8001."),
      .init("spunnelctl open 12 :8000 --background", "Take a free port, and return at once."),
    ],
    exitStatuses: [
      ("0", "The job ended, or the forwards were closed."), ("1", "They failed."),
      ("2", "The command line makes no sense."),
    ],
    action: run,
    adviceOnOption: { word in SpecError.isOptionOfSSH(word) ? SpecError.optionOfSSH(word) : nil })

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let word = try call.required(job)
    try TunnelArgument.check(word, in: call)
    let spec: TunnelSpec
    do throws(SpecError) { spec = try TunnelSpec(call[specs].joined(separator: ",")) } catch {
      throw .usage("open: \(error)")
    }
    var request = OpenRequest(
      job: try JobNames.number(of: word, in: call), spec: spec, option: try StateOption(call),
      waits: call[wait],
      isHeld: !call[background], output: Output(isJSON: call[json]))
    try request.run()
    return .success
  }
}
