// spunnelctl url: what to open in a browser, and what to type on one's own computer before.

import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

enum URLCommand {
  private static let job = Operand("JOB[.STEP]", .tunnel)

  static let spec = CommandSpec(
    "url", "Print a tunnel's addresses and the ssh line for your own computer.",
    operands: [job], options: [Output.json, StateOption.option],
    details: """
      The addresses are for programs on this host, and for programs on your own computer once the
      ssh line runs there: localhost and a port, socks5h:// for a browser's proxy settings or curl
      --proxy, and unix: with the path of a socket, for curl --unix-socket. http://, ssh:// or vnc://
      stands before a port whose service has answered in that protocol. On your own computer a socket
      becomes the service's port, or a socket in the directory where you start ssh. Forwards that
      lead to this host have no address.
      """,
    examples: [.init("spunnelctl url 12", "Show where the services of job 12 are.")], action: run)

  private static func run(_ call: Call) throws(CommandError) -> ExitCode {
    let option = try StateOption(call)
    let word = try call.required(job)
    var tunnels: [AddressReport.Entry] = []
    var refusal: CommandError?
    for view in try TunnelArgument(word, in: call).tunnels(in: option.stateDirectory) {
      do throws(CommandError) {
        tunnels.append((view.step, try forwards(of: view, word), view.status.spoken))
      } catch {
        if view.isOwn { throw error }
        // Root's: what one user has laid there hides no other's tunnel. status tells of it.
        refusal = refusal ?? error
      }
    }
    if tunnels.isEmpty, let refusal { throw refusal }
    let report = AddressReport(tunnels)
    if report.isEmpty {
      throw .failure("url: nothing to open: the forwards of job \(word) lead to this host")
    }
    try Output(call).tell(report)
    return .success
  }

  private static func forwards(
    of tunnel: RecordView, _ word: String
  ) throws(CommandError) -> [Forward] {
    guard let host = tunnel.host else {
      throw .failure("url: the record of \(tunnel.step.words) is damaged")
    }
    let job = tunnel.step.job
    if tunnel.state == .failed {
      throw .failure("url: the tunnel of job \(job) failed: see spunnelctl status \(word)")
    }
    if host.forwards.isEmpty && !host.waiting.isEmpty {
      throw .failure("url: job \(job) has not started: see spunnelctl status")
    }
    return host.forwards
  }
}
