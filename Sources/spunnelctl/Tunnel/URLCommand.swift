// `spunnelctl url`: the addresses for a browser, and the ssh command for the user's own computer.

import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

enum URLCommand {
  private static let job = Operand("JOB[.STEP]", .tunnel, .optional)
  private static let path = Option(
    "path", "PATH", .webPath, "Put PATH behind the port, as in --path /lab.")
  private static let opens = Flag("open", "Open the first address in your browser.")

  static let spec = CommandSpec(
    "url", "Print a tunnel's addresses and the ssh line for your own computer.",
    operands: [job], options: [path, opens, Output.json, StateOption.option],
    details: """
      JOB, a number or a job's name, may be left out where only one job has a tunnel. The addresses are
      for programs on this host, and for programs on your own computer once the ssh line runs there:
      localhost and a port, socks5h:// for a browser's proxy settings or curl --proxy, and unix: with the
      path of a socket, for curl --unix-socket. http://, ssh:// or vnc:// stands before a port whose
      service has answered in that protocol. On your own computer a socket becomes the service's port,
      or a socket in the directory where you start ssh. Forwards that lead to this host have no address.

      A line "token" behind an address is Jupyter's, from the file that the server keeps in your home.
      --open asks the program that BROWSER names, or xdg-open where there is a display. While the job
      waits, the addresses are those that it will have.
      """,
    examples: [
      .init("spunnelctl url 12", "Show where the services of job 12 are."),
      .init("spunnelctl url --path /lab --open", "Open the only tunnel's JupyterLab."),
    ], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let option = try StateOption(call)
    let (views, word) = try views(call, in: option.stateDirectory)
    let servers = JupyterServer.own()
    var tunnels: [AddressReport.Entry] = []
    var refusal: CommandError?
    for view in views {
      do throws(CommandError) {
        tunnels.append(try entry(view, word, servers))
      } catch {
        if view.isOwn { throw error }
        // Only root gets here: the record of one user must not hide the tunnels of others. `status`
        // reports it.
        refusal = refusal ?? error
      }
    }
    if tunnels.isEmpty, let refusal { throw refusal }
    let report = AddressReport(tunnels, path: call[path], through: option.loginName)
    if report.isEmpty {
      throw .failure("url: nothing to open: the forwards of job \(word) lead to this host")
    }
    let output = Output(call)
    try output.tell(report)
    for entry in tunnels where entry.isWaiting {
      output.remark(
        "spunnelctl: job \(entry.step.job) has not started: nothing answers there before it runs")
    }
    if call[opens] { try open(report, word) }
    return .success
  }

  /// The tunnels to report, and their job as the user typed it.
  private static func views(
    _ call: Call, in directory: String
  ) throws(CommandError) -> ([RecordView], String) {
    if let word = call.first(job) {
      let argument = try TunnelArgument(word, in: call, directory: directory)
      return (try argument.tunnels(in: directory), argument.text)
    }
    let all = try liveTunnels(in: directory)
    let jobs = all.map(\.step.job).reduce(into: [UInt32]()) { jobs, job in
      if !jobs.contains(job) { jobs.append(job) }
    }
    guard let only = jobs.first else {
      throw .failure(
        "url: no tunnels of \(Host.userName) on \(Host.name): spunnelctl status lists your jobs, with "
          + "what opens one")
    }
    if jobs.count > 1 {
      let named = jobs.prefix(10).map(String.init).joined(separator: ", ")
      throw .failure(
        "url: the jobs \(named)\(jobs.count > 10 ? ", …" : "") have tunnels: name one, as in spunnelctl "
          + "url \(only)")
    }
    return (all, String(only))
  }

  private static func entry(
    _ tunnel: RecordView, _ word: String, _ servers: [Port: JupyterServer]
  ) throws(CommandError) -> AddressReport.Entry {
    guard let host = tunnel.host else {
      throw .failure("url: the record of \(tunnel.step.words) is damaged")
    }
    let job = tunnel.step.job
    if tunnel.state == .failed {
      throw .failure("url: the tunnel of job \(job) failed: see spunnelctl status \(word)")
    }
    if host.forwards.isEmpty && !host.waiting.isEmpty {
      let held = host.waiting.flatMap(\.forwards).compactMap { $0.held(tunnel.step) }
      return AddressReport.Entry(step: tunnel.step, forwards: held, isWaiting: true)
    }
    return AddressReport.Entry(
      step: tunnel.step, forwards: host.forwards, spoken: tunnel.status.spoken,
      servers: tunnel.isOwn ? servers : [:])
  }

  private static func open(_ report: AddressReport, _ word: String) throws(CommandError) {
    guard let page = report.page else {
      throw .failure("url --open: no port of job \(word) is one for a browser")
    }
    let line = report.command.map { "type '\($0)' on your own computer, and open " } ?? "open "
    try Browser.open(page, otherwise: "\(line)\(page) there")
  }
}

extension ValueKind<String> {
  /// The part of an address after the port.
  fileprivate static var webPath: ValueKind {
    ValueKind { text throws(ValueError) in
      if JupyterServer.isPath(text) { return text }
      throw ValueError(wanted: "a path from its slash on, without spaces, as in /lab")
    }
  }
}
