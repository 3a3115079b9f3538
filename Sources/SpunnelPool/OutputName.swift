// Where a task's output goes: file names as sbatch spells them, `out/%t.txt`.

/// Why a pattern of file names cannot be used.
package struct OutputNameError: Error, Equatable, CustomStringConvertible {
  package let pattern: String
  package let letter: String

  package var description: String {
    "read the file name '\(pattern)': '%\(letter)' has no meaning for a pool: "
      + "it knows %t (the task's line), %j (the job), %N (the node) and %%"
  }
}

/// A pattern of file names.
package struct OutputName: Equatable, Sendable {
  private enum Part: Equatable { case text([UInt8]), task, job, node }

  /// As it was typed.
  package let pattern: String
  private let parts: [Part]

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

  /// Whether each task has a file of its own. If not, all tasks append to one file.
  package var isApart: Bool { parts.contains(.task) }

  /// The file's path, relative to the job's directory.
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
