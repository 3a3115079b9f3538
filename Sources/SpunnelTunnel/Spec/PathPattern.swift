// Paths of unix sockets, with Slurm's filename patterns in them (sbatch(1), FILENAME PATTERN).

import SpunnelSlurm
import SpunnelSystem

/// What the patterns of a path stand for.
public struct PathFacts: Equatable, Sendable {
  let step: StepName
  /// The login name of the tunnel's owner.
  let user: String
  /// The node's place in the step, from 0.
  let place: Int

  /// The login name of whoever runs this process.
  public static var ownUser: String { Process.environment("LOGNAME") ?? Host.userName }
}

/// An absolute path in which `%j`, `%s`, `%u` and `%n` stand for job, step, user and node; `%%` is
/// a percent sign.
public struct PathPattern: Hashable, Sendable, CustomStringConvertible {
  /// The longest path of a socket, in bytes (unix(7): 108 with the final zero).
  static let longest = 107

  public let description: String

  /// Why a text is no path of a socket.
  enum Refusal: Error, Equatable {
    case relative
    /// White space and control characters: records are lines of words.
    case character
    case pattern(String)
    /// What `%u` stands for.
    case user(String)
    case tooLong
  }

  init(_ text: String) throws(Refusal) {
    guard text.hasPrefix("/"), text.utf8.count > 1 else { throw .relative }
    if text.utf8.count > PathPattern.longest { throw .tooLong }
    if !PathPattern.isWord(text) { throw .character }
    description = text
    _ = try expanded { _ in "" }
  }

  /// Whether a text of at most `longest` bytes can be one word of a line, and shows as it is.
  static func isWord(_ text: some StringProtocol) -> Bool {
    !text.unicodeScalars.contains { $0.properties.isWhitespace } && printable(text) == text
  }

  /// The path for one node of one step.
  func path(_ facts: PathFacts) throws(Refusal) -> String {
    let path = try expanded { letter in
      switch letter {
      case "j": String(facts.step.job)
      case "s": facts.step.stepLabel
      case "u": facts.user
      default: String(facts.place)
      }
    }
    return try checked(path, facts.user)
  }

  /// The path before the nodes are known; `nil` when it has something in it that is not known yet.
  ///
  /// - Parameter step: `nil` while there is no job
  func path(known step: StepName?) throws(Refusal) -> String? {
    // The keeper is linked statically: asking for names would load what this host has for that.
    let user = description.mentions("%u") ? PathFacts.ownUser : ""
    var isKnown = true
    let path = try expanded { letter in
      switch (letter, step) {
      case ("u", _): return user
      case ("j", let step?): return String(step.job)
      case ("s", let step?): return step.stepLabel
      default:
        isKnown = false
        return ""
      }
    }
    return isKnown ? try checked(path, user) : nil
  }

  /// A login name may hold what no path here may: accounts come from elsewhere.
  private func checked(_ path: String, _ user: String) throws(Refusal) -> String {
    if path.utf8.count > PathPattern.longest { throw .tooLong }
    // Commas and colons separate the forwards that tasks are told, and the parts of each.
    if path.contains(where: { ",:".contains($0) }) || !PathPattern.isWord(path) {
      throw .user(user)
    }
    return path
  }

  private func expanded(_ value: (Character) -> String) throws(Refusal) -> String {
    var path = ""
    var rest = description[...]
    while let percent = rest.firstIndex(of: "%") {
      path += rest[..<percent]
      rest = rest[percent...].dropFirst()
      guard let letter = rest.popFirst(), "jsun%".contains(letter) else {
        throw .pattern("%" + String(description[percent...].dropFirst().prefix(1)))
      }
      path += letter == "%" ? "%" : value(letter)
    }
    return path + rest
  }
}
