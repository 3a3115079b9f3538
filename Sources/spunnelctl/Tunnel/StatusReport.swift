// `spunnelctl status`: one line for each tunnel.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// The result of `spunnelctl status`.
struct StatusReport: Report {
  private let views: [RecordView]
  private let user: uid_t?
  private let problems: [String]
  /// The user's jobs, or why they are unknown; `nil` when Slurm was not asked.
  private let jobs: Result<[JobInfo], SlurmError>?

  /// - Parameters:
  ///   - views: the tunnels, sorted by job and step
  ///   - user: the owner of the tunnels; `nil` for every user
  ///   - problems: lines about records that could not be read
  ///   - jobs: the user's jobs that are not over, or why they are unknown; `nil` when Slurm was not
  ///     asked
  init(
    _ views: [RecordView], user: uid_t?, problems: [String] = [],
    jobs: Result<[JobInfo], SlurmError>? = nil
  ) {
    self.views = views
    self.user = user
    self.problems = problems
    self.jobs = jobs
  }

  var text: String { ([table] + problems + others).joined(separator: "\n") }

  /// The jobs without a tunnel on this host, each with the command that opens one.
  private var others: [String] {
    switch jobs {
    case nil: return []
    case .failure(let error): return ["jobs without a tunnel are not known: \(error)"]
    case .success(let all):
      let others = withoutTunnel(all)
      if others.isEmpty { return [] }
      var table = Table(["JOB", "NAME", "STATE", "NODES", "FOR A TUNNEL"])
      for job in others.prefix(StatusReport.mostJobs) {
        table.add(
          [
            job.label, job.name, job.state.lowercased(),
            job.phase == .running ? job.nodes : job.reason, job.advice,
          ], moods: [2: job.phase == .running ? .good : .pending])
      }
      let rest = others.count - StatusReport.mostJobs
      let more = rest > 0 ? ["and \(rest) more: squeue --me"] : []
      return ["", "your jobs without a tunnel on \(Host.name):", table.text] + more
    }
  }

  /// The most jobs that are listed. squeue lists all of them.
  private static let mostJobs = 20

  private func withoutTunnel(_ jobs: [JobInfo]) -> [JobInfo] {
    let served = Set(views.map(\.step.job))
    return jobs.filter { !served.contains($0.id) && !($0.het.map(served.contains) ?? false) }
      .sorted { $0.id < $1.id }
  }

  private var table: String {
    if views.isEmpty {
      return user.map { "no tunnels of \(Host.userName(of: $0)) on \(Host.name)" }
        ?? "no tunnels on \(Host.name)"
    }
    let names = user == nil ? UserNames(views) : nil
    let now = Clock.wallMilliseconds()
    var table = Table(
      ["JOB", "STEP"] + (names == nil ? [] : ["USER"])
        + ["NODE", "FORWARDS", "STATE", "SINCE", "OPEN", "SENT", "RECEIVED", "SERVICE"])
    for view in views {
      let status = view.status
      table.add(
        [String(view.step.job), view.step.stepLabel] + (names.map { [$0[view.user]] } ?? [])
          + [
            view.nodeCell, view.forwardsCell, view.stateCell,
            Units.shortTime(status.since, now: now),
            String(status.connections), Units.byteCount(status.sent),
            Units.byteCount(status.received), view.service,
          ], moods: [names == nil ? 4 : 5: view.mood])
    }
    return table.text
  }

  var object: JSON {
    let names = UserNames(views)
    return JSON([
      "host": .string(Host.name), "user": .string(user.map { Host.userName(of: $0) }),
      "tunnels": .array(views.map { $0.json(user: names[$0.user]) }),
      "problems": problems.isEmpty ? nil : .strings(problems), "jobs": jobsObject,
    ])
  }

  private var jobsObject: JSON? {
    guard case .success(let all) = jobs else { return nil }
    return .array(
      withoutTunnel(all).map { job in
        JSON([
          "job": .string(job.label), "name": .string(job.name),
          "state": .string(job.state.lowercased()),
          "nodes": job.nodes.isEmpty ? nil : .string(job.nodes),
          "reason": job.phase == .pending ? .string(job.reason) : nil,
          "open": .string(job.advice),
        ])
      })
  }
}

extension JobInfo {
  /// The command that opens a tunnel into the job.
  fileprivate var advice: String {
    let open = "spunnelctl open \(reference) :8000"
    if phase == .pending { return array == nil ? open + " --wait" : "once it runs" }
    return open
  }
}

extension RecordView {
  fileprivate var mood: Table.Mood {
    switch state {
    case .up: .good
    case .failed, .stale, nil: .bad
    default: .pending
    }
  }
}

/// Login names. Each is looked up once, because the lookup may go over the network.
struct UserNames {
  private let names: [uid_t: String]

  /// - Parameter views: the tunnels whose owners are looked up
  init(_ views: [RecordView]) {
    names = Dictionary(
      uniqueKeysWithValues: Set(views.map(\.user)).map { ($0, Host.userName(of: $0)) })
  }

  subscript(user: uid_t) -> String { names[user] ?? String(user) }
}
