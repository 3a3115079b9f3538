// Paths of unix sockets, with Slurm's filename patterns in them (sbatch(1), FILENAME PATTERN).

import SpunnelSlurm
import SpunnelSystem

/// The values that the patterns of a path stand for.
public struct PathFacts: Equatable, Sendable {
  let step: StepName
  /// The login name of the tunnel's owner.
  let user: String
  /// The node's place in the step, from 0.
  let place: Int

  /// The login name of the user who runs this process: `LOGNAME`, or the account's name.
  public static var ownUser: String { Process.environment("LOGNAME") ?? Host.userName }
}

/// An absolute path with patterns: `%j` job, `%s` step, `%u` user, `%n` node, `%%` a percent sign.
public struct PathPattern: Hashable, Sendable, CustomStringConvertible {
  /// The longest path of a socket, in bytes (unix(7): 108 with the final zero).
  static let longest = 107

  public let description: String

  /// Why a text cannot be the path of a socket.
  enum Refusal: Error, Equatable {
    case relative
    /// The text contains white space or control characters. Records are lines of words.
    case character
    case pattern(String)
    /// The login name behind `%u` contains a character that a path here must not have.
    case user(String)
    case tooLong
  }

  /// - Throws: why the text is not an absolute path with known patterns
  init(_ text: String) throws(Refusal) {
    guard text.hasPrefix("/"), text.utf8.count > 1 else { throw .relative }
    if text.utf8.count > PathPattern.longest { throw .tooLong }
    if !PathPattern.isWord(text) { throw .character }
    description = text
    _ = try expanded { _ in "" }
  }

  /// Whether a text is one word of a line and prints as it is. The caller limits it to `longest`
  /// bytes.
  static func isWord(_ text: some StringProtocol) -> Bool {
    !text.unicodeScalars.contains { $0.properties.isWhitespace } && printable(text) == text
  }

  /// The path for one node of one step.
  ///
  /// - Parameter facts: the values of all patterns
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

  /// The path before the nodes are known.
  ///
  /// - Parameter step: the step; `nil` while there is no job
  /// - Returns: `nil` when the path has a pattern whose value is still unknown
  func path(known step: StepName?) throws(Refusal) -> String? {
    // The name is looked up only where the path needs it. The keeper is linked statically, so
    // getpwuid(3) would load this host's NSS libraries.
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

  /// Checks an expanded path. Accounts come from outside, so a login name may contain any
  /// character.
  private func checked(_ path: String, _ user: String) throws(Refusal) -> String {
    if path.utf8.count > PathPattern.longest { throw .tooLong }
    // A comma separates the forwards that tasks are told of, and a colon separates the parts of
    // each.
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
