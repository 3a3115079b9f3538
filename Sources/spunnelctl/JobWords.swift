// Shell completion of words that name jobs, tunnels and forwards.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

extension ValueKind<String> {
  /// A job of the user that Slurm knows.
  static var job: ValueKind { .text(.asked { _ in JobWords.jobs }) }

  /// A spec of `srun --tunnel`; nodes are completed from the job in front of it.
  static var spec: ValueKind { .text(.asked { JobWords.nodes($0) }) }

  /// A job that has a tunnel on this host.
  static var tunnel: ValueKind { .text(.asked { JobWords.tunnels($0) }) }

  /// A job that has a tunnel; after it, forwards of this job or further jobs.
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

  /// Nodes of a running job: `8001:n1:` and `8001:n2:` after `8001:`.
  static func nodes(_ context: CompletionContext) -> [Candidate] {
    let parts = context.word.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let job = context.operands.first, let facts = try? JobFacts.ask(job)
    else { return [] }
    return facts.nodes.map { Candidate("\(parts[0]):\($0):", "a node of job \(job)") }
  }

  /// The steps that have a tunnel if the word has a dot; otherwise the jobs.
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

  /// The listening ends of the job in front of the word.
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
