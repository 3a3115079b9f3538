// `spunnelctl close`: ends tunnels before their jobs end.

import SpunnelCLI
import SpunnelSystem
import SpunnelTunnel

enum CloseCommand {
  private static let words = Operand("JOB", .closed, .many)
  private static let all = Flag("all", "Close every tunnel of yours on this host.")

  static let spec = CommandSpec(
    "close", "Close tunnels before their jobs end; the jobs go on.",
    operands: [words], options: [all, Output.json, StateOption.option],
    forms: ["JOB[.STEP]…", "JOB[.STEP] SPEC…", "--all"],
    details: """
      With a SPEC, as in 12 8001:8000, only the forwards that listen there are closed; a port or a
      path alone will do, as in 12 8001. Open connections are cut. When the command returns, the
      submit ports are free. If something cannot be closed, a line says so, and the rest is closed
      all the same.

      Root may close anybody's tunnels by their jobs, which spunnelctl status --all shows; --all
      means root's own. This closes all tunnels of one user:

        runuser -u USER -- spunnelctl close --all
      """,
    examples: [
      .init("spunnelctl close 12", "Close all tunnels of job 12."),
      .init("spunnelctl close 12 8001", "Close the forward at port 8001."),
    ], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let directory = try StateOption(call).stateDirectory
    let output = Output(call)
    let words = call[words]
    if call[all] != words.isEmpty {
      throw .usage("close: name jobs, as in spunnelctl close 12, or --all alone")
    }
    if let first = words.first, words.count > 1 {
      let wanted = ClosedForwards(
        try TunnelArgument(first, in: call, directory: directory), words.dropFirst(), directory)
      if let spec = try wanted.spec() {
        try close(spec, of: try wanted.job.tunnels(in: directory), directory, output)
        return .success
      }
    }
    if call[all] {
      try close(try liveTunnels(in: directory), [], directory, output)
    } else {
      var jobs: [TunnelArgument] = []
      for word in words {
        jobs.append(try TunnelArgument(word, in: call, directory: directory))
      }
      try close(jobs: jobs, directory, output)
    }
    return .success
  }

  private static func close(
    jobs: [TunnelArgument], _ directory: String, _ output: Output
  ) throws(CommandError) {
    let tunnels = try reachableTunnels(in: directory, of: jobs)
    let absent = jobs.filter { job in !tunnels.contains { job.matches($0.step) } }
    if tunnels.isEmpty, let first = absent.first { throw first.absence }
    try close(tunnels, absent, directory, output)
  }

  /// Closes tunnels, and reports those that were closed even if others failed.
  ///
  /// - Parameter absent: jobs without a tunnel; their tunnels may have just ended
  private static func close(
    _ tunnels: [RecordView], _ absent: [TunnelArgument], _ directory: String, _ output: Output
  ) throws(CommandError) {
    let closing = Closing(tunnels, directory)
    let failures = (closing.failure?.lines ?? []) + absent.flatMap(\.absence.lines)
    let names = UserNames(tunnels)
    let lines = closing.closed.map { "closed the tunnel of \($0.name(names))" }
    try output.tell(
      StepList(
        "closed", closing.closed.map { ($0.step, names[$0.user], nil) },
        text: tunnels.isEmpty
          ? "no tunnels of \(Host.userName) on \(Host.name)" : lines.joined(separator: "\n")))
    if !failures.isEmpty { throw .failures(failures) }
  }

  private static func close(
    _ spec: TunnelSpec, of tunnels: [RecordView], _ directory: String, _ output: Output
  ) throws(CommandError) {
    let closing = ForwardClosing(spec, of: tunnels, directory)
    let names = UserNames(tunnels)
    if !closing.closed.isEmpty {
      let lines = closing.closed.map { tunnel, spec in
        "closed \(printable("\(spec)")) of \(tunnel.name(names))"
      }
      try output.tell(
        StepList(
          "closed", closing.closed.map { ($0.tunnel.step, names[$0.tunnel.user], $0.spec) },
          text: lines.joined(separator: "\n")))
    }
    if let failure = closing.failure { throw failure }
  }
}

/// Finds out whether the words after a job name forwards of this job, or further jobs.
private struct ClosedForwards {
  let job: TunnelArgument
  private let words: [String]
  private let directory: String

  /// - Parameters:
  ///   - job: the first word
  ///   - words: the words after it
  ///   - directory: the state directory
  init(_ job: TunnelArgument, _ words: some Collection<String>, _ directory: String) {
    self.job = job
    self.words = Array(words)
    self.directory = directory
  }

  /// The forwards that the words name.
  ///
  /// - Returns: `nil` when the words name jobs
  /// - Throws: words that could be either, or that name neither
  func spec() throws(CommandError) -> TunnelSpec? {
    let tunnels = try reachableTunnels(
      in: directory, of: [job] + words.compactMap { TunnelArgument(ifJob: $0) })
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

  /// Whether a word can only be a forward: a job has no colon, comma or slash.
  private func isForward(_ word: String) -> Bool { word.contains { ":,/".contains($0) } }

  private func isPort(_ word: String, of tunnels: [RecordView]) -> Bool {
    guard let port = Port(word) else { return false }
    return tunnels.contains { $0.host?.holds(port) ?? false }
  }

  private func names(_ word: String, one tunnels: [RecordView]) -> Bool {
    guard let argument = TunnelArgument(ifJob: word) else { return false }
    return tunnels.contains { argument.matches($0.step) }
  }

  /// Refuses a number that is neither a port of the job nor a job with a tunnel: the user may have
  /// meant either.
  private func checkJobs(_ tunnels: [RecordView], _ own: [RecordView]) throws(CommandError) {
    if own.isEmpty { return }
    if let neither = words.first(where: { Port($0) != nil && !names($0, one: tunnels) }) {
      throw .failure(
        "close: '\(neither)' is no port of job \(job.text), and no job with a tunnel: see "
          + "spunnelctl status")
    }
  }

  /// Completes a path to a spec. Only the submit end matters here, so the other end can be
  /// anything.
  private func ended(_ word: String) -> String {
    word.split(separator: ",", omittingEmptySubsequences: false).map { item in
      let path = item.hasPrefix("R:") ? item.dropFirst(2) : item
      return path.hasPrefix("/") && !path.contains(":") ? "\(item):\(path)" : String(item)
    }
    .joined(separator: ",")
  }
}
