// The options that say how a command tells what it has to tell: --json and --watch.

import SpunnelOutput

struct Output {
  let isJSON: Bool
  let watches: Bool

  /// What `--help` says of it.
  static let jsonHelp = "--json            one JSON object, described in man spunnelctl"
  static let watchHelp = "--watch           again whenever something has changed, until Ctrl-C"

  init(isJSON: Bool, watches: Bool = false) {
    self.isJSON = isJSON
    self.watches = watches
  }

  /// Takes the options out of a command's words.
  ///
  /// - Parameter canWatch: whether it is a command that only looks
  init(taking words: inout [String], canWatch: Bool = false) {
    self.init(
      isJSON: words.contains("--json"), watches: canWatch && words.contains("--watch"))
    words.removeAll { $0 == "--json" || (canWatch && $0 == "--watch") }
  }

  /// Tells it, whole.
  func tell(_ report: some Report) {
    let text = (isJSON ? OutputForm.json : .text).render(report)
    if !text.isEmpty { say(text) }
  }

  /// Tells one of several, a line each.
  func tellOne(_ report: some Report) {
    let text = (isJSON ? OutputForm.jsonLine : .text).render(report)
    if !text.isEmpty { say(text) }
  }

  /// A word on the way, for people alone.
  func remark(_ line: String) { if !isJSON { say(line, to: .error) } }
}
