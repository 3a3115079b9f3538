// `spunnelctl status`: the user's tunnels on this host, those of all users, or the details of one
// job's.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

enum StatusCommand {
  private static let jobs = Operand("JOB[.STEP]", .tunnel, .many)
  private static let probe = Flag(
    "probe",
    "Find out now whether anything listens at the far ends: open and close each service's port once."
  )
  private static let all = Flag("all", "Show the tunnels of every user; only root may.")

  static let spec = CommandSpec(
    "status", "Show your tunnels on this host, and your jobs without one.",
    operands: [jobs], options: [probe, Output.watch, Output.json, all, StateOption.option],
    details: """
      Your jobs without a tunnel stand below, with what opens one. spunnelctl alone does the same as
      status. With a JOB, by its number or its name, status shows all about its tunnels, with the last
      lines of their logs.

      STATE is one of these:

        waiting       the job has not started; the ports are held
        starting      the connection is being made
        up            the forwards are open
        reconnecting  the connection was lost and is being made again; the ports
                      are kept
        failed        nothing could be opened, no port is held; status JOB says why
        closing       the tunnel is about to end
        stale         a crash left it; spunnelctl clean removes it

      SINCE is when the state began: the time, or the day before today. OPEN counts connections; SENT and RECEIVED are bytes to and
      from the node. SERVICE is what was found at the far end at the last connection:
      listening, nothing listens, not on localhost (but on another address of the node), sshd
      forbids it, not reached (for an unknown reason), each with its ports unless it is all of them, or
      not seen yet. A ? stands for what a damaged record does not tell.
      """,
    examples: [
      .init("spunnelctl status", "Show a line for each tunnel."),
      .init("spunnelctl status 12 --probe", "Ask whether the services of job 12 answer."),
    ], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let directory = try StateOption(call).stateDirectory
    if call[all] && getuid() != 0 {
      throw .usage("status: --all shows the tunnels of every user and is for root")
    }
    var arguments: [TunnelArgument] = []
    for word in call[jobs] {
      arguments.append(try TunnelArgument(word, in: call, directory: directory))
    }
    // A job has one owner, so root need not name the owner.
    let isAnybodys = call[all] || (getuid() == 0 && !arguments.isEmpty)
    let looker = Looker(directory: directory, user: isAnybodys ? nil : getuid(), jobs: arguments)
    try tell(looker, Output(call), probes: call[probe])
    return .success
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
    let jobs = OwnJobs(isWanted: looker.jobs.isEmpty && looker.user != nil)
    if !output.watches { return try output.tell(looker.report(found, unanswered, jobs.current)) }
    let records: RecordWatch
    do throws(SystemError) {
      records = try RecordWatch(in: looker.directory, user: looker.user)
    } catch { throw .failure("watch: \(error)") }
    try Watch.run(output, records) { () throws(CommandError) in
      looker.report(try looker.find(), unanswered, jobs.current)
    }
  }

  /// Selects the tunnels to report.
  private struct Looker {
    let directory: String
    /// The owner of the tunnels; `nil` for every user.
    let user: uid_t?
    /// The jobs of the tunnels; empty for all jobs.
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

    /// - Parameter problems: further lines to report
    func report(
      _ found: Found, _ problems: [String], _ own: Result<[JobInfo], SlurmError>?
    ) -> any Report {
      let problems = problems + found.problems
      if jobs.isEmpty {
        return StatusReport(found.views, user: user, problems: problems, jobs: own)
      }
      let stories = found.views.map { view in
        (view, LogLine.last(10, of: view.step, in: directory, user: view.user))
      }
      return DetailReport(stories, user: user, problems: problems)
    }
  }
}

/// The user's jobs. Slurm is asked rarely, because a site may limit requests.
private final class OwnJobs {
  /// Milliseconds for which an answer is used.
  private static let freshness = 10_000

  private let isWanted: Bool
  private var answer: (jobs: Result<[JobInfo], SlurmError>, at: Int)?

  init(isWanted: Bool) { self.isWanted = isWanted }

  /// The jobs, or why they are unknown; `nil` when they are not wanted.
  var current: Result<[JobInfo], SlurmError>? {
    if !isWanted { return nil }
    let now = Clock.milliseconds()
    if let answer, now - answer.at < OwnJobs.freshness { return answer.jobs }
    let jobs = JobNames.listed()
    answer = (jobs, Clock.milliseconds())
    return jobs
  }
}

extension RecordWatch: ChangeNews {}
