// A tunnel inside srun: claims the ports, starts the keeper, waits for its report, and ends it.
//
// It has no thread, and no code of it runs while the job runs.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// Shows the user a line.
struct Voice: Sendable {
  let level: @Sendable (Bool, String) -> Void

  func info(_ line: String) { level(false, "spunnel: \(line)") }
  func error(_ line: String) { level(true, "spunnel: \(line)") }
}

/// The tunnel of one srun, from the claim to the end.
final class CommandTunnel {
  /// Milliseconds that the end may take before srun goes on without waiting.
  private static let endPatience = 2000
  /// The most bytes of the keeper's reports that are kept; the last ones count.
  private static let longestReports = 1 << 16

  let process = getpid()
  /// The spec as the user typed it.
  let typed: TunnelSpec
  let spec: TunnelSpec
  private var claim: Claim?
  private let arguments: [String]
  private var lifeline: FileDescriptor?

  /// Takes over the bound ports.
  ///
  /// - Parameters:
  ///   - claim: the bound ports
  ///   - arguments: of plugstack.conf, for the keeper
  init(_ claim: consuming Claim, arguments: [String]) {
    (typed, spec) = (claim.typed, claim.spec)
    self.claim = consume claim
    self.arguments = arguments
  }

  /// Starts the keeper and waits until the tunnel is ready. If the user or the site does not want
  /// to wait, it waits only until the ports are bound.
  ///
  /// - Parameters:
  ///   - step: the step that srun starts
  ///   - nodes: of the step, in Slurm's order
  ///   - directory: the plugin's folder
  /// - Returns: false after an error was printed
  func open(_ step: StepName, _ nodes: [NodeName], directory: String, _ voice: Voice) -> Bool {
    // The steps of a heterogeneous job come one by one. The first one has the tunnel.
    guard let claim = claim.take() else { return true }
    do throws(KeeperFailure) {
      // The tasks need the number of a chosen port, so they must wait until it is chosen.
      let waits = CommandTunnel.waits(claim.settings, voice) || spec.wantsExecPort
      let keeper = try start(
        claim, waits ? .lifeline : .patientLifeline, step, nodes, directory)
      let settings = claim.settings
      let report = try keeper.hear(
        seconds: settings.timeout, whenLate: { CommandTunnel.tellWait(nodes, settings, voice) }
      ) { report in
        switch report {
        case .bound: !waits
        case .ready: true
        default: false
        }
      }
      lifeline = keeper.intoLifeline()
      tell(
        report, nodes: nodes.count, through: claim.settings.loginName,
        claim.settings.quiet ? nil : voice)
      return true
    } catch {
      // Closing the sockets is not enough: a keeper that does not answer has copies.
      claim.release()
      for (index, reason) in error.reasons.enumerated() {
        voice.error(index == 0 ? "no tunnel: \(reason)" : "nor through srun: \(reason)")
      }
      if let isRequired = PluginLine.isRequired(arguments: arguments) {
        voice.info(
          isRequired
            ? "the step fails, as plugstack.conf says 'required'" : "the job goes on without it")
      }
      return false
    }
  }

  /// Sets the variables that describe the tunnel, in the environment that sbatch sends to the job.
  func tellJob() {
    for entry in Process.environment() where entry.hasPrefix("SPUNNEL_") {
      let name = String(decoding: entry.bytes.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
      if CommandTunnel.isTold(name) { Process.removeEnvironment(name) }
    }
    for (name, value) in spec.environment(typed: typed) {
      Process.setEnvironment(name, value)
    }
  }

  /// Whether a variable describes a tunnel. If a job submits another job, it describes the wrong one
  /// and must go.
  private static func isTold(_ name: String) -> Bool {
    ["FORWARDS", "PORT", "LOCAL_PORT", "URL"].contains { word in
      name == "SPUNNEL_\(word)" || name.hasPrefix("SPUNNEL_\(word)_")
    }
  }

  /// Tells a user who has waited for a while what srun waits for.
  private static func tellWait(_ nodes: [NodeName], _ settings: Settings, _ voice: Voice) {
    if settings.quiet { return }
    let names = nodes.prefix(3).map(\.description).joined(separator: ", ")
    voice.info(
      "waiting for the tunnel to \(names)\(nodes.count > 3 ? ", …" : ""), \(settings.timeout) seconds at "
        + "most")
  }

  /// Starts a keeper that waits for a batch job and ends with it.
  ///
  /// - Returns: false after an error was printed
  func follow(_ job: UInt32, directory: String, _ voice: Voice) -> Bool {
    guard let claim = claim.take() else { return true }
    do throws(KeeperFailure) {
      let logout = Logout.ahead(of: job)
      let keeper = try start(claim, .job, .wholeJob(job), [], directory, logout)
      let report = try keeper.hear(seconds: 0) { report in
        if case .waiting = report { true } else { false }
      }
      if !claim.settings.quiet, case .waiting(let held) = report {
        for request in held.forwards { voice.info(request.promise(job)) }
        CommandTunnel.tellCommand(
          Announcement(held: held, .wholeJob(job), through: claim.settings.loginName), voice)
      }
      if let danger = logout.danger { voice.info(danger.line(job, spec)) }
      return true
    } catch {
      claim.release()
      // A keeper that is only slow would continue with ports that no longer listen, so it is asked
      // to exit.
      let step = StepName.wholeJob(job)
      let base = claim.settings.stateDirectory
      let state = try? StateDirectory.find(holding: step, in: base, user: getuid())
      _ = try? state?.requestExit(step)
      voice.error("job \(job) has no tunnel: \(error.reason)")
      return false
    }
  }

  private func start(
    _ claim: borrowing Claim, _ life: KeeperRequest.Life, _ step: StepName, _ nodes: [NodeName],
    _ directory: String, _ logout: Logout? = nil
  ) throws(KeeperFailure) -> KeeperStart {
    let request: KeeperRequest
    do throws(SettingsError) {
      request = try KeeperRequest(
        life, step: step, nodes: nodes, spec: claim.spec, arguments: arguments)
    } catch { throw KeeperFailure("\(error)") }
    return try KeeperStart(
      request, Installation(libraryFolder: directory),
      listeners: claim.sockets.map { $0.descriptor.raw }, logout: logout)
  }

  /// Whether the tasks wait for the tunnel: as the user says, otherwise as the site says.
  private static func waits(_ settings: Settings, _ voice: Voice) -> Bool {
    switch Process.environment("SPUNNEL_WAIT") {
    case "0", "no": return false
    case "1", "yes": return true
    case nil, "": return settings.wait
    case .some(let text):
      voice.error("SPUNNEL_WAIT '\(printable(text))' is neither 0 nor 1: it is left aside")
      return settings.wait
    }
  }

  /// Sets the tasks' variables in srun's environment, and tells the user.
  private func tell(
    _ report: KeeperReport, nodes: Int, through host: String, _ voice: Voice?
  ) {
    let forwards: [Forward]
    switch report {
    case .bound(let bound): forwards = bound
    case .ready(let ready): forwards = ready
    default: return
    }
    if let told = CommandTunnel.told(forwards) {
      Process.setEnvironment("SPUNNEL_FORWARDS", told)
    } else {
      Process.removeEnvironment("SPUNNEL_FORWARDS")
      voice?.info("\(forwards.count) forwards have no room in SPUNNEL_FORWARDS: it is not set")
    }
    let chosen = chosenForwards(forwards, nodes: nodes)
    for (name, value) in CommandTunnel.variables(forwards, chosen: chosen) {
      Process.setEnvironment(name, value)
    }
    guard let voice else { return }
    let announcement = Announcement(forwards, through: host)
    let isThere = if case .ready = report { true } else { false }
    for line in announcement.forwards { voice.info(isThere ? line : "\(line), being opened") }
    for forward in chosen { if let note = forward.portNote { voice.info(note) } }
    CommandTunnel.tellCommand(announcement, voice)
  }

  private static func tellCommand(_ announcement: Announcement, _ voice: Voice) {
    if let command = announcement.command { voice.info("on your own computer: \(command)") }
  }

  /// The variables of chosen ports: `SPUNNEL_PORT` on the node, and the submit end that leads
  /// there. If no port was chosen: the submit end of the first forward that has one.
  ///
  /// - Parameter chosen: the forwards whose exec ports the spec left open, in its order
  static func variables(
    _ forwards: [Forward], chosen: [Forward]
  ) -> [(name: String, value: String)] {
    if chosen.isEmpty {
      let first = forwards.lazy.map(\.submitVariables).first { !$0.isEmpty }
      return (first ?? []).map { ("SPUNNEL_\($0.name)", $0.value) }
    }
    var variables: [(name: String, value: String)] = []
    for (index, forward) in chosen.enumerated() {
      let port = forward.exec.port.map { [(name: "PORT", value: "\($0)")] } ?? []
      for (name, value) in port + forward.submitVariables {
        if index == 0 { variables.append(("SPUNNEL_\(name)", value)) }
        variables.append(("SPUNNEL_\(name)_\(index + 1)", value))
      }
    }
    return variables
  }

  /// The value of `SPUNNEL_FORWARDS`.
  ///
  /// - Returns: `nil` if it is too long: with a variable above 128 KiB no program can be started
  ///   (execve(2), `MAX_ARG_STRLEN`)
  static func told(_ forwards: [Forward]) -> String? {
    let text = forwards.map(\.description).joined(separator: ",")
    return text.utf8.count > 100 << 10 ? nil : text
  }

  /// The forwards whose exec ports the spec left open, in its order.
  ///
  /// - Parameter nodes: the number of nodes of the step; a forward to all nodes gives one forward
  ///   for each
  private func chosenForwards(_ forwards: [Forward], nodes: Int) -> [Forward] {
    var chosen: [Forward] = []
    var rest = forwards[...]
    for request in spec.forwards {
      let made = rest.prefix(request.isForAll ? nodes : 1)
      rest = rest.dropFirst(made.count)
      if request.wantsExecPort { chosen += made }
    }
    return chosen
  }

  /// Ends the tunnel and waits a bounded time until the ports are free.
  ///
  /// - Parameter voice: prints why the tunnel never came up, if srun did not wait for it
  func close(_ voice: Voice) {
    claim?.release()
    claim = nil
    guard let raw = lifeline?.raw else { return }
    // The keeper reads end of file, ends everything, and closes its own end last.
    _ = shutdown(raw, CInt(SHUT_WR))
    let deadline = Clock.milliseconds() + CommandTunnel.endPatience
    // The reports that came while the job ran were not read yet, so they come first.
    var heard: [UInt8] = []
    while lifeline?.waitReadable(milliseconds: max(0, deadline - Clock.milliseconds())) ?? false,
      let report = try? lifeline?.read(atMost: 4096), !report.isEmpty
    {
      heard = (heard + report).suffix(CommandTunnel.longestReports)
    }
    lifeline = nil
    let lines = heard.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
    if case .failed(let reason)? = lines.last.flatMap({ KeeperReport(line: $0) }) {
      voice.error("the tunnel never came up: \(printable(reason, atMost: LogLine.longest))")
    }
  }
}
