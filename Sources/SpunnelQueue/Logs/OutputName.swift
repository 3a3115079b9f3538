// The path of a batch job's output (sbatch(1), "filename pattern").

import SpunnelSlurm
import SpunnelSystem

extension JobInfo {
  /// The path of the job's output.
  package var outputPath: String { path(of: output) ?? folder + "/" + defaultOutput }

  /// The path of the job's errors; `nil` if they go to its output.
  package var errorsPath: String? { path(of: errors) }

  private var defaultOutput: String {
    if let array, let task { return "slurm-\(array)_\(task).out" }
    return "slurm-\(id).out"
  }

  private func path(of pattern: String) -> String? {
    if pattern.isEmpty { return nil }
    let name = expanded(pattern)
    return name.hasPrefix("/") ? name : folder + "/" + name
  }

  /// Replaces the patterns by the job's own values. A backslash in the name turns patterns off.
  func expanded(_ pattern: String) -> String {
    if pattern.contains("\\") { return pattern.filter { $0 != "\\" } }
    var result = ""
    var rest = pattern[...]
    while let character = rest.popFirst() {
      guard character == "%" else {
        result.append(character)
        continue
      }
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      let after = rest.dropFirst(digits.count)
      guard let letter = after.first, let value = value(of: letter) else {
        result.append(character)
        continue
      }
      let width = min(Int(digits) ?? 0, 10)
      let isNumber = value.allSatisfy { $0.isNumber }
      let fill = isNumber ? max(0, width - value.count) : 0
      result += String(repeating: "0", count: fill) + value
      rest = after.dropFirst()
    }
    return result
  }

  private func value(of letter: Character) -> String? {
    switch letter {
    case "%": "%"
    case "A": String(array ?? id)
    case "a": task.map { String($0) } ?? "4294967294"
    case "b": task.map { String($0 % 10) } ?? "4294967294"
    case "J", "j": String(id)
    case "N": batchHost.isEmpty ? nil : String(batchHost.prefix { $0 != "." })
    case "n", "t": "0"
    case "s": "batch"
    case "u": Host.userName(of: user)
    case "x": name
    default: nil
    }
  }
}
