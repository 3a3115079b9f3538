// spunnelctl close: ends tunnels whose jobs go on.

import Glibc
import Spunnel
import SpunnelOutput
import SpunnelSystem

enum CloseCommand: Command {
  static let name = "close"
  static let synopsis = "JOB[.STEP]… | JOB[.STEP] SPEC… | --all [--json] [--state-dir DIR]"
  static let summary = "Close tunnels before their jobs end; the jobs go on."
  static let details = """
      --all             every tunnel of yours on this host
      \(Output.jsonHelp)
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    With a SPEC, as in 12 8001:8000, only the forwards that listen there are closed; a port or a
    path alone will do, as in 12 8001. Open connections are cut, and the submit ports are free when
    the command returns. Root may close everybody's, by their jobs.
    """
  /// Milliseconds that a keeper has for tearing down.
  private static let patience = 5000

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    var rest = option.rest
    let output = Output(taking: &rest)
    if let unknown = rest.first(where: { $0.hasPrefix("-") && $0 != "--all" }) {
      throw .usage("close: '\(printable(unknown))' is no option")
    }
    let directory = option.stateDirectory
    if let first = rest.first, rest.count > 1, !rest.contains("--all") {
      let wanted = ClosedForwards(try TunnelArgument(first), rest.dropFirst(), directory)
      if let spec = try wanted.spec() { return try wanted.close(spec, output) }
    }
    try close(try meant(rest, directory), directory, output)
  }

  /// What was closed is told also when something else could not be.
  private static func close(
    _ tunnels: [RecordView], _ directory: String, _ output: Output
  ) throws(CommandError) {
    var closed: [RecordView] = []
    var failure: CommandError?
    do throws(CommandError) {
      for tunnel in tunnels { try request(tunnel, directory) }
      for tunnel in tunnels {
        try awaitEnd(tunnel, directory)
        closed.append(tunnel)
      }
    } catch { failure = error }
    let lines = closed.map { "closed the tunnel of \($0.name)" }
    output.tell(
      StepList(
        "closed", closed.map { ($0.step, nil) },
        text: tunnels.isEmpty
          ? "no tunnels of \(Host.userName) on \(Host.name)" : lines.joined(separator: "\n")))
    if let failure { throw failure }
  }

  private static func meant(
    _ words: [String], _ directory: String
  ) throws(CommandError) -> [RecordView] {
    if words == ["--all"] { return try liveTunnels(in: directory) }
    if words.isEmpty || words.contains("--all") {
      throw .usage("close: name jobs, as in spunnelctl close 12, or --all alone")
    }
    var found: [RecordView] = []
    for word in words {
      found += try TunnelArgument(word).tunnels(in: directory)
        .filter { !found.contains($0) }
    }
    return found
  }

  static func request(_ tunnel: RecordView, _ directory: String) throws(CommandError) {
    do throws(RecordError) {
      // One that ended in the meantime is what was wanted.
      _ = try StateDirectory.find(in: directory, user: tunnel.user)?.requestExit(tunnel.step)
    } catch { throw .failure("close the tunnel of \(tunnel.name): \(error)") }
  }

  static func awaitEnd(_ tunnel: RecordView, _ directory: String) throws(CommandError) {
    let deadline = Clock.milliseconds() + patience
    while try isAlive(tunnel, directory) {
      if Clock.milliseconds() > deadline {
        throw .failure(
          "close the tunnel of \(tunnel.name): its keeper does not end: see spunnelctl status")
      }
      usleep(10_000)
    }
  }

  private static func isAlive(
    _ tunnel: RecordView, _ directory: String
  ) throws(CommandError) -> Bool {
    do throws(RecordError) {
      return try RecordView.all(in: directory, user: tunnel.user)
        .contains { $0.step == tunnel.step && $0.isAlive }
    } catch { throw .failure("close the tunnel of \(tunnel.name): \(error)") }
  }
}

extension RecordView {
  /// In a sentence; whose it is where that is not clear.
  fileprivate var name: String {
    "job \(step.job), step \(step.stepLabel)"
      + (user == getuid() ? "" : ", of \(Host.userName(of: user))")
  }
}

/// Forwards of a job's tunnels that are to be closed, rather than the tunnels.
private struct ClosedForwards {
  /// Milliseconds for a keeper's answer.
  private static let patience = 5000

  private let job: TunnelArgument
  private let words: [String]
  private let directory: String

  /// - Parameter words: what stands behind the job
  init(_ job: TunnelArgument, _ words: some Collection<String>, _ directory: String) {
    self.job = job
    self.words = Array(words)
    self.directory = directory
  }

  /// What the words ask for.
  ///
  /// - Returns: `nil` when they name jobs
  func spec() throws(CommandError) -> TunnelSpec? {
    let tunnels = try reachableTunnels(in: directory)
    let own = tunnels.filter { job.matches($0.step) }
    let jobs = words.filter { !isForward($0) }
    let ports = jobs.filter { isPort($0, of: own) }
    if jobs.count == words.count {
      if ports.isEmpty {
        try checkJobs(tunnels, own)
        return nil
      }
      if let both = ports.first(where: { names($0, one: tunnels) }) {
        throw .failure(
          "close: '\(both)' is a port of job \(job.text) and a job with a tunnel: write "
            + "\(both):\(both) for the port, or close job \(both) alone")
      }
    }
    if let stranger = jobs.first(where: { !ports.contains($0) }) {
      throw .failure(
        "close: no forward of job \(job.text) listens at '\(printable(stranger))': see spunnelctl "
          + "status")
    }
    do throws(SpecError) {
      return try TunnelSpec(words.map { ended($0) }.joined(separator: ","))
    } catch { throw .usage("close: \(error)") }
  }

  /// Jobs have neither colon nor comma nor slash.
  private func isForward(_ word: String) -> Bool { word.contains { ":,/".contains($0) } }

  private func isPort(_ word: String, of tunnels: [RecordView]) -> Bool {
    guard let port = Port(word) else { return false }
    return tunnels.contains { $0.host?.holds(port) ?? false }
  }

  private func names(_ word: String, one tunnels: [RecordView]) -> Bool {
    guard let argument = TunnelArgument(ifJob: word) else { return false }
    return tunnels.contains { argument.matches($0.step) }
  }

  /// A number that is neither the one nor the other may have been meant as either.
  private func checkJobs(_ tunnels: [RecordView], _ own: [RecordView]) throws(CommandError) {
    if own.isEmpty { return }
    if let neither = words.first(where: { Port($0) != nil && !names($0, one: tunnels) }) {
      throw .failure(
        "close: '\(neither)' is no port of job \(job.text), and no job with a tunnel: see "
          + "spunnelctl status")
    }
  }

  /// Paths alone are no specs: where they lead to does not matter here.
  private func ended(_ word: String) -> String {
    word.split(separator: ",", omittingEmptySubsequences: false).map { item in
      let path = item.hasPrefix("R:") ? item.dropFirst(2) : item
      return path.hasPrefix("/") && !path.contains(":") ? "\(item):\(path)" : String(item)
    }
    .joined(separator: ",")
  }

  /// Closes one after the other; what was closed is told also when something else could not be.
  func close(_ spec: TunnelSpec, _ output: Output) throws(CommandError) {
    var closed: [(tunnel: RecordView, spec: TunnelSpec)] = []
    var failure: CommandError?
    let tunnels = try job.tunnels(in: directory)
    do throws(CommandError) {
      for forward in spec.forwards {
        closed.append(try close(TunnelSpec(forwards: [forward]), tunnels))
      }
    } catch { failure = error }
    if !closed.isEmpty || failure == nil {
      output.tell(
        StepList(
          "closed", closed.map { ($0.tunnel.step, $0.spec) },
          text: closed.map { "closed \($0.spec) of \($0.tunnel.name)" }.joined(separator: "\n")))
    }
    if let failure { throw failure }
  }

  /// - Returns: what the keeper gave up, and which one it was
  private func close(
    _ spec: TunnelSpec, _ tunnels: [RecordView]
  ) throws(CommandError) -> (RecordView, TunnelSpec) {
    var refusal = "no forward listens at '\(spec)'"
    for tunnel in tunnels {
      do throws(RecordError) {
        var connection = try KeeperConnection.ask(
          .close(spec), of: tunnel.step, in: directory, user: tunnel.user)
        switch connection?.next(milliseconds: ClosedForwards.patience) {
        case .closed(let forwards)?: return (tunnel, forwards)
        // The keeper of an older Spunnel does not say which.
        case .done?: return (tunnel, spec)
        case .failed(let reason)?: refusal = printable(reason)
        // It ended meanwhile: nothing listens there any more.
        default: continue
        }
      } catch { throw .failure("close: \(error)") }
    }
    throw .failure("close: \(refusal): see spunnelctl status")
  }
}
