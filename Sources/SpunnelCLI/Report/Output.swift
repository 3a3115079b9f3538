// How a command prints its reports: as text or JSON, once or repeatedly.

import Glibc
import SpunnelSystem

/// The output that a command's options ask for.
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

  /// Prints a report; JSON is indented.
  package func tell(_ report: some Report) throws(CommandError) {
    let text = (isJSON ? OutputForm.json : .text).render(report)
    if !text.isEmpty { try say(text) }
  }

  /// Prints one of several reports; each JSON object takes one line.
  package func tellOne(_ report: some Report) throws(CommandError) {
    let text = (isJSON ? OutputForm.jsonLine : .text).render(report)
    if !text.isEmpty { try say(text) }
  }

  /// Prints a remark on standard error, unless the output is JSON.
  package func remark(_ line: String) { if !isJSON { SpunnelCLI.remark(line) } }
}

/// Writes text and a newline to standard output.
///
/// - Throws: a failed write; a reader that went away, such as head(1), is no error
package func say(_ text: String) throws(CommandError) {
  do throws(SystemError) { try StandardStream.output.put(text + "\n") } catch {
    if error.code != EPIPE { throw .unwritten(error) }
  }
}

/// Writes a line to standard error.
package func remark(_ line: String) { StandardStream.error.write(line: line) }

extension CommandError {
  /// The error for a standard output that cannot be written: its disk is full, or it is closed.
  static func unwritten(_ error: SystemError) -> CommandError {
    .failure("write to standard output: \(error.reason)")
  }
}
