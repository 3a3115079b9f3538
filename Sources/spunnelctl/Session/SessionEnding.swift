// spunnelctl session stop, extend and url: what is done to a session from outside.

import SpunnelCLI
import SpunnelSession
import SpunnelSystem

enum SessionEnding {
  private static let named = Operand("NAME|JOB", .session)
  private static let perhaps = Operand("NAME|JOB", .session, .optional)
  private static let words = Operand("[NAME|JOB] +TIME", .session, .some)

  static let stop = CommandSpec(
    "stop", "End a session.", operands: [named],
    examples: [.init("spunnelctl session stop thesis", "End the session of that name.")]
  ) {
    call throws(CommandError) in
    let job = try Sessions.one(try call.required(named))
    let result = try Sessions.slurm("scancel", [ByteString(job.id)])
    if !result.succeeded {
      throw .failure("stop session \(job.id): scancel: \(printable(result.lastLine))")
    }
    remark("spunnelctl: session \(job.id) is stopped")
    return .success
  }

  static let extend = CommandSpec(
    "extend", "Raise the time limit of a session.", operands: [words], forms: ["[NAME|JOB] +TIME"],
    details: "TIME is as sbatch's --time. Most sites let only an administrator raise a limit.",
    examples: [.init("spunnelctl session extend 12 +2:00:00", "Give job 12 two hours more.")],
    action: extend)

  private static func extend(_ call: Call) throws(CommandError) -> ExitCode {
    let words = call[SessionEnding.words]
    guard words.count <= 2, let time = words.last, time.hasPrefix("+"),
      SlurmTime.seconds(String(time.dropFirst())) != nil
    else {
      throw .usage("\(call.name): say by how much, as in +30, +1:30:00 or +1-12")
    }
    let job = try Sessions.one(words.count == 2 ? words[0] : nil)
    let result = try Sessions.slurm("scontrol", ["update", "JobId=\(job.id)", "TimeLimit=\(time)"])
    if result.succeeded {
      let left = try Sessions.ask(job.id)?.secondsLeft
      try say("session \(job.id): \(left.map(SlurmTime.text) ?? "no limit") left")
      return .success
    }
    throw .failures([
      "extend session \(job.id): scontrol: \(printable(result.lastLine))",
      "most sites let only an administrator raise the limit of a running job; a successor that starts "
        + "when this one ends: spunnelctl session start --detach -J '\(printable(job.name))' "
        + "--dependency=afterany:\(job.id)",
    ])
  }

  static let url = CommandSpec(
    "url", "Print the address of a session that is seen in a browser.", operands: [perhaps],
    details:
      "The address opens the page once its ssh line runs, if one is printed. Addresses printed before open nothing.",
    examples: [.init("spunnelctl session url", "Print that of your only session.")]
  ) { call throws(CommandError) in
    let job = try Sessions.one(call.first(perhaps))
    guard let kind = SessionKinds.named(job.kind), kind.isSeenInBrowser else {
      throw .failure(
        "find the address of session \(job.id): a session of kind \(printable(job.kind)) has none: "
          + "spunnelctl session \(job.id) attaches to it")
    }
    guard job.isReady else {
      throw .failure(
        "find the address of session \(job.id): it is \(job.state.lowercased()): spunnelctl session "
          + "\(job.id) waits for it")
    }
    _ = try SessionView(job, kind).tell()
    return .success
  }
}
