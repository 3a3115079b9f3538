// What is certain to fail is refused before the job is queued, and what is about to be right is waited for.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

extension TunnelSpec {
  /// Refuses a host that can be no node of the job, because the cluster has no such node. Slurm is asked only where
  /// a host is named. If it does not answer, the start of the tunnel finds out.
  func checkNodes(_ settings: Settings, _ installation: Installation) throws(SpecError) {
    let named = forwards.compactMap { request -> (HostName, ForwardRequest)? in
      let node = request.kind == .remote ? request.node : request.host
      if request.kind == .local && settings.targets == .any { return nil }
      guard case .named(let host) = node else { return nil }
      return (host, request)
    }
    for request in forwards where request.kind == .remote && settings.targets != .any {
      guard case .named(let host) = request.host else { continue }
      throw .thirdHost(text: printable(host.description), forward: printable(request.description))
    }
    if named.isEmpty { return }
    guard let nodes = try? SlurmHelper(path: installation.jobs).nodes(), !nodes.isEmpty else {
      return
    }
    let names = nodes.compactMap { NodeName($0.name) }
    let others = nodes.flatMap { [$0.address, $0.host] }.compactMap { HostName($0) }
    for (host, request) in named {
      let isNode = names.place(of: host) { .own } != nil
      // By another name the tunnel would not find the node either, unless this host's files lead to it.
      let isKnown = others.contains { HostName.areSame($0.description, host.description) }
      if !isNode && !isKnown {
        throw .foreign(text: printable(host.description), forward: printable(request.description))
      }
    }
  }
}

extension Claim {
  /// Milliseconds for the keeper of a job that is over to free its ports.
  private static let patience = 2000

  /// Claims the ports. If a tunnel of one's own holds one whose job is over, as after scancel, its keeper has not
  /// heard of that yet: it is told to end.
  static func patiently(
    _ spec: TunnelSpec, _ settings: Settings, choosing chosen: ChosenPorts?,
    _ installation: Installation
  ) throws(SubmitError) -> Claim {
    var ended: StepName?
    let deadline = Clock.milliseconds() + patience
    while true {
      do throws(SubmitError) { return try Claim(spec, settings, choosing: chosen) } catch {
        guard case .own(_, let step) = error, Clock.milliseconds() < deadline else { throw error }
        if ended != step {
          guard JobFacts.isOver(step.job, installation) else { throw error }
          endKeeper(of: step, settings)
          ended = step
        }
        usleep(20_000)
      }
    }
  }

  private static func endKeeper(of step: StepName, _ settings: Settings) {
    let base = settings.stateDirectory
    let state = try? StateDirectory.find(holding: step, in: base, user: getuid())
    _ = try? state?.requestExit(step)
  }
}
