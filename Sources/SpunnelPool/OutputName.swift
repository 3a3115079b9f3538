// Names of output files with sbatch's patterns, `out/%t.txt`.

/// An unknown pattern in a file name.
package struct OutputNameError: Error, Equatable, CustomStringConvertible {
  package let pattern: String
  package let letter: String

  package var description: String {
    "read the file name '\(pattern)': '%\(letter)' has no meaning for a pool: "
      + "it knows %t (the task's line), %j (the job), %N (the node) and %%"
  }
}

/// A file name with patterns.
package struct OutputName: Equatable, Sendable {
  private enum Part: Equatable { case text([UInt8]), task, job, node }

  /// The name as the user typed it.
  package let pattern: String
  private let parts: [Part]

  /// - Throws: an unknown pattern, quoted
  package init(_ pattern: String) throws(OutputNameError) {
    self.pattern = pattern
    var parts: [Part] = []
    var text: [UInt8] = []
    var rest = Array(pattern.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        text.append(byte)
        continue
      }
      let letter = rest.popFirst()
      if letter == UInt8(ascii: "%") {
        text.append(byte)
        continue
      }
      parts.append(.text(text))
      text = []
      switch letter {
      case UInt8(ascii: "t"): parts.append(.task)
      case UInt8(ascii: "j"): parts.append(.job)
      case UInt8(ascii: "N"): parts.append(.node)
      default:
        throw OutputNameError(
          pattern: pattern, letter: String(decoding: [letter ?? 0].filter { $0 > 0 }, as: UTF8.self)
        )
      }
    }
    parts.append(.text(text))
    self.parts = parts.filter { $0 != .text([]) }
  }

  /// Whether each task has its own file. If not, all tasks append to one file.
  package var isApart: Bool { parts.contains(.task) }

  /// The path of the file, relative to the job's directory.
  package func path(task: Int, job: String, node: String) -> [UInt8] {
    var path: [UInt8] = []
    for part in parts {
      switch part {
      case .text(let text): path += text
      case .task: path.appendDecimal(task)
      case .job: path.append(text: job)
      case .node: path.append(text: node)
      }
    }
    return path
  }
}
