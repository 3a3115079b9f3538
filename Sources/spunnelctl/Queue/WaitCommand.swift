// `spunnelctl wait`: waits for jobs, and exits as they did.

import SpunnelCLI
import SpunnelQueue
import SpunnelSystem

enum WaitCommand {
  private static let jobs = Operand("JOB", ValueKind<JobReference>.queued, .some)

  static let spec = CommandSpec(
    "wait", "Wait for jobs to end, and exit as the first that failed.",
    operands: [jobs], options: [Output.json],
    details: """
      The order is that of the command line, and of the tasks' numbers in an array. A number alone
      means all of an array.
      """,
    examples: [.init("spunnelctl wait 12 13", "Wait for both.")],
    exitStatuses: [
      ("0", "All ended well."), ("code", "The job's own exit code."),
      ("128+N", "Signal N killed it."), ("124", "Its time limit was reached."),
      ("125", "Nobody knows how it ended, or something is wrong here."),
      ("126", "It could not start."), ("130", "It was cancelled."),
      ("137", "It used more memory than it had."),
    ]
  ) { call throws(CommandError) in
    let tools = try QueueTools()
    var waiter = Waiter(tools.board, call[jobs])
    let ends = waiter.wait { remark("spunnelctl: \(printable($0))") }
    if call[Output.json] { try Output(call).tell(EndReport(ends: ends)) } else { tellEnds(ends) }
    return Waiter.status(of: ends).exitCode
  }
}

/// The result of `spunnelctl wait --json`.
struct EndReport: Report {
  let ends: [JobEnd]

  var text: String {
    ends.map { "\($0.label) \($0.status.code)" }.joined(separator: "\n")
  }

  var object: JSON {
    JSON([
      "jobs": .array(
        ends.map { end in
          JSON([
            "job": .string(end.label), "status": .number(end.status.code),
            "meaning": .string(end.status.words),
          ])
        })
    ])
  }
}
