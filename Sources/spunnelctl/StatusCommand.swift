// spunnelctl status: the user's tunnels on this host, or everybody's, or all about a job's.

import Glibc
import SpunnelOutput
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

enum StatusCommand: Command {
  static let name = "status"
  static let synopsis = "[JOB[.STEP]…] [--probe] [--watch] [--json] [--all] [--state-dir DIR]"
  static let summary = "Show your tunnels on this host."
  static let details = """
      --probe           find out now whether anything listens at the far ends: each service's port
                        is opened and closed once
      \(Output.watchHelp)
      \(Output.jsonHelp)
      --all             for root: the tunnels of every user
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    With a JOB, all about its tunnels, with the last lines of their logs.

    STATE is waiting (the job has not started; the ports are held), starting, up, reconnecting
    (the connection was lost and is being made again; the ports are kept), failed (nothing of it could
    be opened, no port is held; status JOB says why), closing, or stale (left by a crash; spunnelctl
    clean removes it). SINCE is when the state began. OPEN counts
    connections; SENT and RECEIVED are bytes to and from the node. SERVICE is what was found at the
    far end when somebody connected last: listening, nothing listens (and at which port, when it is
    not all of them), or not seen yet. A ? is what a damaged record does not tell.
    """

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    var rest = option.rest
    let output = Output(taking: &rest, canWatch: true)
    let flags = rest.filter { $0.hasPrefix("-") }
    if let unknown = flags.first(where: { $0 != "--all" && $0 != "--probe" }) {
      throw .usage("status: '\(printable(unknown))' is no option")
    }
    if flags.contains("--all") && getuid() != 0 {
      throw .usage("status: --all shows the tunnels of every user and is for root")
    }
    var jobs: [TunnelArgument] = []
    for word in rest where !word.hasPrefix("-") { jobs.append(try TunnelArgument(word)) }
    // A job has one owner: root need not say whose it is.
    let isAnybodys = flags.contains("--all") || (getuid() == 0 && !jobs.isEmpty)
    let looker = Looker(
      directory: option.stateDirectory, user: isAnybodys ? nil : getuid(), jobs: jobs)
    try tell(looker, output, probes: flags.contains("--probe"))
  }

  private static func tell(
    _ looker: Looker, _ output: Output, probes: Bool
  ) throws(CommandError) {
    var found = try looker.find()
    if found.views.isEmpty, let job = looker.jobs.first, !output.watches {
      throw job.absence
    }
    var unanswered: [String] = []
    if probes {
      unanswered = Probe.run(found.views, in: looker.directory)
      found = try looker.find()
    }
    if !output.watches { return output.tell(looker.report(found, unanswered)) }
    let records: RecordWatch
    do throws(SystemError) {
      records = try RecordWatch(in: looker.directory, user: looker.user)
    } catch { throw .failure("watch: \(error)") }
    try Watch.run(output, records) { () throws(CommandError) in
      looker.report(try looker.find(), unanswered)
    }
  }

  /// Which tunnels are meant.
  private struct Looker {
    let directory: String
    /// `nil`: everybody's.
    let user: uid_t?
    /// Empty: all of them.
    let jobs: [TunnelArgument]

    typealias Found = (views: [RecordView], problems: [String])

    func find() throws(CommandError) -> Found {
      do throws(RecordError) {
        guard let user else {
          let found = try AllRecords.find(in: directory, where: isMeant)
          return (found.views, found.problems.map { "\($0)" })
        }
        return (try RecordView.all(in: directory, user: user, where: isMeant), [])
      } catch { throw .failure("look at the tunnels: \(error)") }
    }

    private func isMeant(_ step: StepName) -> Bool {
      jobs.isEmpty || jobs.contains { $0.matches(step) }
    }

    /// - Parameter problems: lines that are told besides
    func report(_ found: Found, _ problems: [String]) -> any Report {
      let problems = problems + found.problems
      if jobs.isEmpty { return StatusReport(found.views, user: user, problems: problems) }
      let stories = found.views.map { view in
        (view, LogLine.last(10, of: view.step, in: directory, user: view.user))
      }
      return DetailReport(stories, user: user, problems: problems)
    }
  }
}
