// spunnelctl session list.

import SpunnelCLI
import SpunnelSession
import SpunnelSystem

enum SessionListing {
  static let spec = CommandSpec(
    "list", "Show your sessions.", options: [Output.json],
    details: """
      LEFT is the time until the job's limit. ATTACHED is when a terminal was attached last. NODE of
      a session that waits is the reason.
      """,
    examples: [.init("spunnelctl session list", "Show them.")]
  ) { call throws(CommandError) in
    try Output(call).tell(SessionTable(try Sessions.all()))
    return .success
  }
}

/// Sessions, a line each.
struct SessionTable: Report {
  let sessions: [SessionJob]

  init(_ sessions: [SessionJob]) { self.sessions = sessions }

  var text: String {
    if sessions.isEmpty { return "no sessions of \(Host.userName)" }
    var table = Table(["JOB", "NAME", "KIND", "STATE", "NODE", "LEFT", "ATTACHED"])
    for session in sessions {
      table.add([
        session.id, session.name, session.kind, session.state.lowercased(),
        session.phase == .pending ? session.reason : session.node,
        session.secondsLeft.map(SlurmTime.text) ?? "no limit", session.lastAttached,
      ])
    }
    return table.text
  }

  var object: JSON {
    JSON(["sessions": .array(sessions.map(SessionTable.object))])
  }

  private static func object(_ session: SessionJob) -> JSON {
    JSON([
      "job": .string(session.id), "name": .string(session.name), "kind": .string(session.kind),
      "state": .string(session.state), "node": text(session.node), "reason": text(session.reason),
      "partition": text(session.partition), "start": .number(session.started),
      "seconds_left": .number(session.secondsLeft), "cores": .number(session.cores),
      "memory": text(session.memory), "last_attached": text(session.lastAttached),
    ])
  }

  private static func text(_ value: String) -> JSON? { value.isEmpty ? nil : .string(value) }
}
