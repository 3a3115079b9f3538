// The result of a command: lines for people, and a JSON object for programs.

/// A result that a command prints.
package protocol Report {
  /// The lines, without the last newline.
  var text: String { get }
  /// The object without `version`, which is put in front.
  var object: JSON { get }
}

extension Report {
  /// The object with `version` in front.
  package var versionedObject: JSON {
    // The version changes only when a key is removed or changes its meaning.
    guard case .object(let pairs) = object else { return object }
    return .object([JSON.Pair(key: "version", value: .number(1))] + pairs)
  }
}

/// The form of a printed report.
package enum OutputForm: Sendable {
  case text
  /// Indented JSON.
  case json
  /// JSON in one line, for several reports in a row.
  case jsonLine

  /// The report as text, without the last newline.
  package func render(_ report: some Report) -> String {
    switch self {
    case .text: report.text
    case .json: report.versionedObject.text(isIndented: true)
    case .jsonLine: report.versionedObject.text(isIndented: false)
    }
  }
}
