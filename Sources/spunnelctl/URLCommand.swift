// spunnelctl url: what to open in a browser, and what to type on one's own computer before.

import Spunnel

enum URLCommand: Command {
  static let name = "url"
  static let synopsis = "JOB[.STEP] [--state-dir DIR]"
  static let summary = "Print a tunnel's addresses and the ssh line for your own computer."
  static let details = """
      --state-dir DIR   where the records are (plugstack.conf, state_dir=)

    The addresses are for a browser on this host, and on your own computer once the ssh line
    runs there.
    """

  static func run(_ words: [String]) throws(CommandError) {
    let option = try StateOption(words)
    guard option.rest.count == 1, let word = option.rest.first else {
      throw .usage("url: name one job, as in spunnelctl url 12")
    }
    for view in try TunnelArgument(word).tunnels(in: option.stateDirectory) {
      guard let host = view.host else {
        throw .failure("url: the record of step \(view.step) is damaged")
      }
      let announcement = Announcement(host.forwards)
      for address in announcement.addresses { say(address) }
      if let command = announcement.command { say(command) }
    }
  }
}
