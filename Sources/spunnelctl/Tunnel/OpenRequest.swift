// Requests forwards from a job's keeper, and reports on them until the end.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// One call of `spunnelctl open`.
struct OpenRequest {
  /// Milliseconds for a keeper to start and answer, including the end of one that is ending.
  private static let patience = 10_000
  /// Microseconds between two attempts to reach a keeper that is starting or ending.
  private static let pause: UInt32 = 20_000
  /// Milliseconds of silence before a word on what is waited for.
  private static let silence = 2000

  let job: String
  var spec: TunnelSpec
  let option: StateOption
  let waits: Bool
  /// Whether the forwards live as long as this process.
  let isHeld: Bool
  let output: Output
  /// What is waited for; `nil` once the forwards are there.
  private var awaited: Awaited? = .tunnel

  private enum Awaited { case job, tunnel }

  /// Whether nothing is told of forwards that are open.
  var isQuiet = false
  /// The forwards that are open.
  private(set) var opened: [Forward] = []

  private enum Outcome {
    case done
    /// The keeper was starting or ending, so another attempt is needed.
    case unanswered
    /// The step whose tunnel carried the forwards has ended, but its job goes on.
    case outlived
  }

  /// - Parameter isHeld: whether the forwards live as long as this process
  init(
    job: String, spec: TunnelSpec, option: StateOption, waits: Bool, isHeld: Bool, output: Output
  ) {
    (self.job, self.spec, self.option) = (job, spec, option)
    (self.waits, self.isHeld, self.output) = (waits, isHeld, output)
  }

  mutating func run() throws(CommandError) {
    var deadline = Clock.milliseconds() + OpenRequest.patience
    while Clock.milliseconds() < deadline {
      switch try attempt() {
      case .done: return
      case .unanswered: usleep(OpenRequest.pause)
      case .outlived: deadline = Clock.milliseconds() + OpenRequest.patience
      }
    }
    throw .failure("open job \(job): its keeper does not answer: see spunnelctl status")
  }

  private mutating func attempt() throws(CommandError) -> Outcome {
    if let step = try present() {
      guard let connection = try connect(step) else { return .unanswered }
      return try follow(connection, step, danger(to: step))
    }
    let facts = try JobFacts.find(job)
    try check(facts)
    // Also without --background: another command may use this keeper with it.
    let logout = Logout.ahead(of: facts.step.job)
    // If another keeper was faster, this one is refused, and the other one is used.
    let refusal = start(facts.step, logout, try option.arguments())
    if let connection = try connect(facts.step) {
      let danger = refusal == nil ? logout.danger : danger(to: facts.step)
      return try follow(connection, facts.step, danger)
    }
    if let refusal, refusal != RecordError.taken(facts.step).description {
      throw .failure("open job \(job): \(refusal)")
    }
    return .unanswered
  }

  /// The step of an existing tunnel that can carry the forwards.
  ///
  /// The tunnel of a step ends before its job may end. It is used for a job only if this process
  /// stays and can open another one then.
  private func present() throws(CommandError) -> StepName? {
    guard let argument = TunnelArgument(ifJob: job) else { return nil }
    let steps = try liveTunnels(in: option.stateDirectory).map(\.step)
      .filter { argument.matches($0) }
    if let whole = steps.first(where: \.isWholeJob) { return whole }
    return steps.count == 1 && (argument.namesStep || isHeld) ? steps.first : nil
  }

  private func check(_ facts: JobFacts) throws(CommandError) {
    if facts.user != getuid() {
      throw .failure("open job \(job): it is not yours, but \(facts.owner)'s")
    }
    if facts.isArray {
      throw .failure(
        "open job \(job): it is a job array: name one task, as in \(facts.step.job)_1")
    }
    switch facts.state {
    // All waiting tasks of an array are one job, with the array's number.
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

  /// - Returns: the reason why no keeper was started; `nil` on success
  private func start(_ step: StepName, _ logout: Logout, _ arguments: [String]) -> String? {
    guard let installation = Installation.current else { return Installation.absence }
    do throws(SettingsError) {
      let request = try KeeperRequest(
        .job, step: step, nodes: [], spec: nil, arguments: arguments)
      do throws(KeeperFailure) {
        let keeper = try KeeperStart(request, installation, logout: logout)
        _ = try keeper.hear(seconds: 2) { $0 == .done }
      } catch { return error.reason }
    } catch { return "plugstack.conf: \(error)" }
    return nil
  }

  /// The logout that would end an existing tunnel; `nil` for none.
  private func danger(to step: StepName) -> Logout.Danger? {
    // Held forwards end with this process, before any logout.
    guard !isHeld, let found = try? liveTunnels(in: option.stateDirectory),
      let view = found.first(where: { $0.step == step })
    else { return nil }
    return Logout.danger(to: view.status.keeper)
  }

  private func connect(_ step: StepName) throws(CommandError) -> KeeperConnection? {
    do throws(RecordError) {
      return try KeeperConnection.ask(
        .open(spec, isHeld: isHeld), of: step, in: option.stateDirectory, user: getuid())
    } catch { throw .failure("open job \(job): \(error)") }
  }

  // MARK: Reports

  private mutating func follow(
    _ connection: consuming KeeperConnection, _ step: StepName, _ danger: Logout.Danger?
  ) throws(CommandError) -> Outcome {
    var connection = connection
    let asked = spec
    var hasAnswer = false
    var patience = OpeningPatience(job: job, now: Clock.milliseconds())
    while true {
      let next = connection.next(pause: OpenRequest.silence) { tellWait(&patience) }
      guard let report = next else { break }
      // The keeper ended before it read the request.
      if case .over = report, !hasAnswer { return .unanswered }
      if try take(report, step, isFirst: !hasAnswer) {
        if let danger, !isHeld { output.remark("spunnel: \(danger.line(step.job, asked))") }
        return .done
      }
      if case .over(let reason) = report {
        if reason == KeeperReport.stepEnded, try goesOn(without: step) { return .outlived }
        output.remark("the tunnel ended: \(printable(reason))")
        try tell(step, .over(reason))
        return .done
      }
      hasAnswer = true
    }
    if !hasAnswer { return .unanswered }
    throw .failure("open job \(job): the tunnel ended without a word: see spunnelctl status")
  }

  private func tell(_ step: StepName, _ stage: OpeningReport.Stage) throws(CommandError) {
    try output.tellOne(OpeningReport(step, stage, through: option.loginName))
  }

  /// - Returns: whether this process need not wait any longer
  private mutating func take(
    _ report: KeeperReport, _ step: StepName, isFirst: Bool
  ) throws(CommandError) -> Bool {
    switch report {
    case .failed(let reason):
      let reasons = SSHDiagnosis.reasons(in: reason)
      throw .failures(
        reasons.enumerated().map { index, reason in
          "open job \(job): \(index == 0 ? "" : "nor through srun: ")\(reason)"
        })
    case .ready(let forwards):
      awaited = nil
      opened = forwards
      if !isQuiet { try tell(step, .up(forwards)) }
      pin(to: forwards)
      return !isHeld
    case .waiting(let held):
      awaited = .job
      // A keeper that has just started does not yet know that the job runs.
      guard waits || !isFirst else { return false }
      output.remark("job \(step.job) has not started: waiting")
      if output.isJSON || !isHeld { try tell(step, .waiting(held)) }
      return !isHeld
    case .news(let news):
      output.remark(printable(news.text))
      if output.isJSON && isHeld { try tell(step, .news(news)) }
      return false
    case .bound:
      awaited = .tunnel
      return false
    case .over, .done, .closed: return false
    }
  }

  /// Tells what is waited for.
  private func tellWait(_ patience: inout OpeningPatience) {
    guard let awaited else { return }
    let line = patience.line(at: Clock.milliseconds(), awaitsJob: awaited == .job) {
      (try? JobFacts.ask(job)).flatMap { $0.state == "pending" ? $0.detail : nil }
    }
    if let line { output.remark(line) }
  }

  /// Fixes the chosen ports and nodes in the spec, so that reopened forwards keep them.
  private mutating func pin(to forwards: [Forward]) {
    let same = forwards.map(\.description).joined(separator: ",")
    do throws(SpecError) { spec = try TunnelSpec(same) } catch {}
  }

  /// Whether the forwards were requested for the job, and the job still runs.
  private func goesOn(without step: StepName) throws(CommandError) -> Bool {
    guard isHeld, !step.isWholeJob, TunnelArgument(ifJob: job)?.namesStep == false else {
      return false
    }
    guard let facts = try? JobFacts.ask(job), facts.state == "running" else { return false }
    output.remark("step \(step.stepLabel) has ended: opening a tunnel of job \(step.job)'s own")
    return true
  }
}
