// Jobs and tunnels as words on the command line: what the shell offers for them.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

extension ValueKind<String> {
  /// A job of the user's that Slurm knows.
  static var job: ValueKind { .text(.asked { _ in JobWords.jobs }) }

  /// A forward, as srun --tunnel takes it, to a node of the job that stands first.
  static var spec: ValueKind { .text(.asked { JobWords.nodes($0) }) }

  /// A job that has a tunnel on this host.
  static var tunnel: ValueKind { .text(.asked { JobWords.tunnels($0) }) }

  /// A job that has a tunnel; behind it the forwards of the job, or more jobs.
  static var closed: ValueKind {
    .text(.asked { JobWords.forwards($0) + JobWords.tunnels($0) })
  }
}

enum JobWords {
  static var jobs: [Candidate] {
    guard let installation = Installation.current,
      let jobs = try? SlurmHelper(path: installation.jobs).jobs(.user(getuid()))
    else { return [] }
    return jobs.filter { $0.phase != .over }
      .map { Candidate(String($0.id), "\($0.state) \(printable($0.name))") }
  }

  /// `8001:n1:` and `8001:n2:` behind `8001:`, of a job that runs.
  static func nodes(_ context: CompletionContext) -> [Candidate] {
    let parts = context.word.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let job = context.operands.first, let facts = try? JobFacts.ask(job)
    else { return [] }
    return facts.nodes.map { Candidate("\(parts[0]):\($0):", "a node of job \(job)") }
  }

  /// Steps where a dot was typed, jobs otherwise.
  static func tunnels(_ context: CompletionContext) -> [Candidate] {
    let views = views(context).filter { !context.operands.contains(String($0.step.job)) }
    if context.word.contains(".") {
      return views.map { Candidate("\($0.step.job).\($0.step.stepLabel)", words($0)) }
    }
    var jobs: [Candidate] = []
    for view in views where jobs.last?.word != String(view.step.job) {
      jobs.append(Candidate(String(view.step.job), words(view)))
    }
    return jobs
  }

  /// The submit ends of the job that stands first.
  static func forwards(_ context: CompletionContext) -> [Candidate] {
    guard let first = context.operands.first, let job = TunnelArgument(ifJob: first) else {
      return []
    }
    return views(context).filter { job.matches($0.step) }.flatMap { $0.host?.forwards ?? [] }
      .map { Candidate("\($0.listen)", "\($0)") }
  }

  private static func views(_ context: CompletionContext) -> [RecordView] {
    guard let option = try? StateOption(context.options["state-dir"]) else { return [] }
    return (try? liveTunnels(in: option.stateDirectory)) ?? []
  }

  private static func words(_ view: RecordView) -> String {
    "\(view.stateCell) \(view.forwardsCell)"
  }
}
