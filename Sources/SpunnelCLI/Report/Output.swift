// How a command tells what it has to tell: as text or as JSON, once or again and again.

import Glibc
import SpunnelSystem

/// Where reports go to, as a command's options say it.
package struct Output: Sendable {
  package static let json = Flag("json", "Print one JSON object, which man spunnelctl describes.")
  package static let watch = Flag(
    "watch", "Show it again whenever something has changed, until Ctrl-C.")

  package let isJSON: Bool
  package let watches: Bool

  package init(isJSON: Bool, watches: Bool = false) {
    self.isJSON = isJSON
    self.watches = watches
  }

  /// Reads `--json` and `--watch`.
  package init(_ call: Call) { self.init(isJSON: call[Output.json], watches: call[Output.watch]) }

  /// Tells a report, whole.
  package func tell(_ report: some Report) throws(CommandError) {
    let text = (isJSON ? OutputForm.json : .text).render(report)
    if !text.isEmpty { try say(text) }
  }

  /// Tells one of several reports: a JSON object has one line.
  package func tellOne(_ report: some Report) throws(CommandError) {
    let text = (isJSON ? OutputForm.jsonLine : .text).render(report)
    if !text.isEmpty { try say(text) }
  }

  /// A word on the way, for people alone.
  package func remark(_ line: String) { if !isJSON { SpunnelCLI.remark(line) } }
}

/// Writes lines to standard output.
///
/// - Throws: when they cannot be written. A reader that went away, as head(1) does, is no error.
package func say(_ text: String) throws(CommandError) {
  do throws(SystemError) { try StandardStream.output.put(text + "\n") } catch {
    if error.code != EPIPE { throw .unwritten(error) }
  }
}

/// Writes a line to standard error.
package func remark(_ line: String) { StandardStream.error.write(line: line) }

extension CommandError {
  /// Standard output cannot be written: its disk is full, or it is closed.
  static func unwritten(_ error: SystemError) -> CommandError {
    .failure("write to standard output: \(error.reason)")
  }
}
