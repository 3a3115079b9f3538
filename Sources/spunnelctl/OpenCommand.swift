// spunnelctl open: a tunnel into a job that runs already, or will; more forwards for one that is
// there.

import Glibc
import Spunnel
import SpunnelOutput
import SpunnelSystem

enum OpenCommand: Command {
  static let name = "open"
  static let synopsis = "JOB[.STEP] SPEC… [--wait] [--background] [--json] [--state-dir DIR]"
  static let summary = "Open a tunnel into a job of yours, or more forwards of one."
  static let details = """
      --wait            wait for a job that is pending
      --background      leave it open; it ends with the job, or by spunnelctl close
      --json            a JSON object on a line each time something has become of it, described in
                        docs/status.md
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    SPEC is what srun --tunnel takes: 8001:8000, :8000 for a free port of this host, 8001:n2:8000
    for another node, and more (docs/tunnels.md). Without --background the forwards are there
    until Ctrl-C. A tunnel that is there is used; it needs no second login. JOB may also be a
    task of an array (12_3) or a component of a heterogeneous job (12+1).
    """

  /// Milliseconds for a keeper to start, and to give a first answer.
  private static let patience = 5000
  /// How often a keeper that was just ending is followed by another one.
  private static let attempts = 10

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    var rest = option.rest
    let output = Output(taking: &rest)
    let flags = rest.filter { $0.hasPrefix("--") }
    if let unknown = flags.first(where: { $0 != "--wait" && $0 != "--background" }) {
      throw .usage("open: '\(printable(unknown))' is no option")
    }
    rest.removeAll { $0.hasPrefix("--") }
    guard let job = rest.first, rest.count > 1 else {
      throw .usage("open: name a job and what to forward, as in spunnelctl open 12 8001:8000")
    }
    let spec: TunnelSpec
    do throws(SpecError) { spec = try TunnelSpec(rest.dropFirst().joined(separator: ",")) } catch {
      throw .usage("open: \(error)")
    }
    let isHeld = !flags.contains("--background")
    let request = Opening(
      job: job, spec: spec, command: .open(spec, isHeld: isHeld), option: option,
      waits: flags.contains("--wait"), isHeld: isHeld, output: output)
    try request.run()
  }

  private struct Opening {
    let job: String
    let spec: TunnelSpec
    let command: KeeperCommand
    let option: StateOption
    let waits: Bool
    let isHeld: Bool
    let output: Output

    func run() throws(CommandError) {
      if let step = try present() {
        if let connection = try connect(step) {
          try follow(connection, step)
          return warn(danger(to: step), step)
        }
      }
      let facts = try JobFacts.ask(job)
      try check(facts)
      // Also without --background: somebody may ask its keeper for more, with it.
      let logout = Logout.ahead(of: facts.step.job)
      for _ in 0..<attempts {
        // Refused when somebody else was faster: then theirs is used.
        let refusal = start(facts.step, logout)
        if let connection = try connect(facts.step) {
          try follow(connection, facts.step)
          return warn(refusal == nil ? logout.danger : danger(to: facts.step), facts.step)
        }
        if let refusal, !refusal.contains("has a tunnel already") {
          throw .failure("open job \(job): \(refusal)")
        }
        usleep(100_000)
      }
      throw .failure("open job \(job): its keeper does not answer: see spunnelctl status")
    }

    /// The tunnel of this job that is there: the whole job's, or else its only one.
    private func present() throws(CommandError) -> StepName? {
      guard let argument = TunnelArgument(ifJob: job) else { return nil }
      let steps = try liveTunnels(in: option.stateDirectory).map(\.step)
        .filter { argument.matches($0) }
      return steps.first(where: \.isWholeJob) ?? (steps.count == 1 ? steps.first : nil)
    }

    private func check(_ facts: JobFacts) throws(CommandError) {
      if facts.user != getuid() {
        throw .failure("open job \(job): it is not yours, but uid \(facts.user)'s")
      }
      if facts.isArray {
        throw .failure(
          "open job \(job): it is a job array: name one task, as in \(facts.step.job)_1")
      }
      switch facts.state {
      // Tasks that wait are one job, of the array's number.
      case "pending" where job.hasPrefix("\(facts.step.job)_"):
        throw .failure(
          "open job \(job): it has not started (\(facts.detail)): a task of an array cannot be waited "
            + "for: open it once it runs")
      case "pending" where !waits:
        throw .failure("open job \(job): it has not started (\(facts.detail)): add --wait")
      case "over": throw .failure("open job \(job): it is over (\(facts.detail))")
      default: return
      }
    }

    /// - Returns: why there is no keeper
    private func start(_ step: StepName, _ logout: Logout) -> String? {
      guard let prefix = Installation.prefix else { return "/proc is not there" }
      do throws(SettingsError) {
        let request = try KeeperRequest(
          .job, step: step, nodes: [], spec: nil, arguments: option.arguments)
        do throws(KeeperFailure) {
          let keeper = try KeeperStart(request, prefix: prefix, logout: logout)
          _ = try keeper.hear(seconds: 2) { $0 == .done }
        } catch { return error.reason }
      } catch { return "plugstack.conf: \(error)" }
      return nil
    }

    /// What threatens the tunnel that was there.
    private func danger(to step: StepName) -> Logout.Danger? {
      // What is held ends before any logout.
      guard !isHeld, let found = try? liveTunnels(in: option.stateDirectory),
        let view = found.first(where: { $0.step == step })
      else { return nil }
      return Logout.danger(to: view.status.keeper)
    }

    private func warn(_ danger: Logout.Danger?, _ step: StepName) {
      guard !isHeld, let danger else { return }
      output.remark("spunnel: \(danger.line(step.job, spec))")
    }

    private func connect(_ step: StepName) throws(CommandError) -> KeeperConnection? {
      do throws(RecordError) {
        return try KeeperConnection.ask(
          command, of: step, in: option.stateDirectory, user: getuid())
      } catch { throw .failure("open job \(job): \(error)") }
    }

    private func follow(
      _ connection: consuming KeeperConnection, _ step: StepName
    ) throws(CommandError) {
      var connection = connection
      var isTold = false
      while let report = connection.next() {
        switch report {
        case .failed(let reason): throw .failure("open job \(job): \(reason)")
        case .ready(let forwards):
          output.tellOne(OpeningReport(step, .up(forwards)))
          isTold = true
          if !isHeld { return }
        case .waiting(let held):
          // A keeper that has just started does not know yet that the job runs.
          guard waits || isTold else { continue }
          output.remark("job \(step.job) has not started: waiting")
          if output.isJSON || !isHeld { output.tellOne(OpeningReport(step, .waiting(held))) }
          if !isHeld { return }
        case .over(let reason):
          output.remark("the tunnel ended: \(printable(reason))")
          return output.tellOne(OpeningReport(step, .over(reason)))
        case .bound, .done: continue
        }
      }
      throw .failure("open job \(job): the tunnel ended without a word: see spunnelctl status")
    }
  }
}
