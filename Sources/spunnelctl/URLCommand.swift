// spunnelctl url: what to open in a browser, and what to type on one's own computer before.

import SpunnelOutput
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

enum URLCommand: Command {
  static let name = "url"
  static let synopsis = "JOB[.STEP] [--json] [--state-dir DIR]"
  static let summary = "Print a tunnel's addresses and the ssh line for your own computer."
  static let details = """
      \(Output.jsonHelp)
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    The addresses are for programs on this host, and on your own computer once the ssh line runs
    there: http:// for a browser, socks5h:// for its proxy settings or curl --proxy, and
    unix: with the path of a socket, for curl --unix-socket. On your own computer a socket becomes
    the service's port, or a socket in the directory where you start ssh. Forwards that lead to
    this host have no address.
    """

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    var rest = option.rest
    let output = Output(taking: &rest)
    if let unknown = rest.first(where: { $0.hasPrefix("-") }) {
      throw .usage("url: '\(printable(unknown))' is no option")
    }
    guard rest.count == 1, let word = rest.first else {
      throw .usage("url: name one job, as in spunnelctl url 12")
    }
    var tunnels: [(step: StepName, forwards: [Forward])] = []
    var refusal: CommandError?
    for view in try TunnelArgument(word).tunnels(in: option.stateDirectory) {
      do throws(CommandError) { tunnels.append((view.step, try forwards(of: view, word))) } catch {
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
    output.tell(report)
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
