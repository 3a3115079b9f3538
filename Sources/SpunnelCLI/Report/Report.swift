// What every command of spunnelctl that tells something tells it as: lines for people, and an object
// for programs.

package protocol Report {
  /// Lines, without the last newline.
  var text: String { get }
  /// An object; `version` is put before it.
  var object: JSON { get }
}

extension Report {
  /// The object as it is written.
  package var versionedObject: JSON {
    // Goes up only when a key is taken away or changes its meaning.
    guard case .object(let pairs) = object else { return object }
    return .object([JSON.Pair(key: "version", value: .number(1))] + pairs)
  }
}

/// How a report is written.
package enum OutputForm: Sendable {
  case text
  /// Over several lines.
  case json
  /// One line, so that there can be many.
  case jsonLine

  /// The report without the last newline.
  package func render(_ report: some Report) -> String {
    switch self {
    case .text: report.text
    case .json: report.versionedObject.text(isIndented: true)
    case .jsonLine: report.versionedObject.text(isIndented: false)
    }
  }
}
