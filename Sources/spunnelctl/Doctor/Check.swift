// One check of the doctor: what was looked for, what was found, and what to do.

import SpunnelCLI
import SpunnelSystem

struct Check: Equatable {
  enum Verdict: String {
    case well
    case wrong
    /// It could not be found out.
    case unknown
    /// There is no such thing here, and none is needed.
    case absent
  }

  let group: String
  /// What was looked for, a phrase.
  let name: String
  let verdict: Verdict
  let found: String
  /// What to do; `nil` when all is well.
  let advice: String?

  static func well(_ group: String, _ name: String, _ found: String) -> Check {
    Check(group: group, name: name, verdict: .well, found: found, advice: nil)
  }

  static func absent(_ group: String, _ name: String, _ found: String) -> Check {
    Check(group: group, name: name, verdict: .absent, found: found, advice: nil)
  }

  static func wrong(
    _ group: String, _ name: String, _ found: String, _ advice: String
  ) -> Check {
    Check(group: group, name: name, verdict: .wrong, found: found, advice: advice)
  }

  static func unknown(
    _ group: String, _ name: String, _ found: String, _ advice: String
  ) -> Check {
    Check(group: group, name: name, verdict: .unknown, found: found, advice: advice)
  }

  var isWell: Bool { verdict == .well || verdict == .absent }
}

/// What `doctor` and `check-config` tell.
struct CheckReport: Report {
  let checks: [Check]

  var isWell: Bool { checks.allSatisfy(\.isWell) }

  var text: String {
    var lines: [String] = []
    var group = ""
    for check in checks {
      if check.group != group { lines.append(check.group) }
      group = check.group
      lines.append(
        "  \(CheckReport.word(check.verdict)) \(check.name): \(printable(check.found, atMost: 400))"
      )
      if let advice = check.advice { lines.append("          do: \(advice)") }
    }
    return (lines + [summary]).joined(separator: "\n")
  }

  private var summary: String {
    let (wrong, unknown) = (count(.wrong), count(.unknown))
    if isWell { return "all is well" }
    let parts = [(wrong, "wrong"), (unknown, "unknown")].filter { $0.0 > 0 }
    return parts.map { "\($0.0) \($0.1)" }.joined(separator: ", ") + " of \(checks.count) checks"
  }

  private func count(_ verdict: Check.Verdict) -> Int { checks.count { $0.verdict == verdict } }

  /// Of one width.
  private static func word(_ verdict: Check.Verdict) -> String {
    switch verdict {
    case .well: "ok     "
    case .wrong: "WRONG  "
    case .unknown: "UNKNOWN"
    case .absent: "-      "
    }
  }

  var object: JSON {
    JSON([
      "host": .string(Host.name), "well": .bool(isWell),
      "checks": .array(
        checks.map { check in
          JSON([
            "group": .string(check.group), "name": .string(check.name),
            "verdict": .string(check.verdict.rawValue), "found": .string(check.found),
            "advice": .string(check.advice),
          ])
        }),
    ])
  }
}
