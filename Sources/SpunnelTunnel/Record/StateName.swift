// The names of a user's state directory.

import Glibc
import SpunnelSystem

/// `spunnel-<uid>`; if another user has taken it, `spunnel-<uid>.` and eight random letters or
/// digits.
struct StateName: Equatable {
  let text: String
  let user: uid_t
  let isFirst: Bool

  private static let prefix = "spunnel-"
  private static let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
  private static let length = 8

  /// - Returns: `nil` when the text is not such a name
  init?(_ text: String) {
    guard text.hasPrefix(StateName.prefix) else { return nil }
    let parts = text.dropFirst(StateName.prefix.count).split(
      separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let number = wholeNumber(parts[0]), let user = uid_t(exactly: number),
      String(user) == parts[0]
    else { return nil }
    if parts.count == 2 {
      let isAnother =
        parts[1].count == StateName.length && parts[1].allSatisfy { StateName.letters.contains($0) }
      guard isAnother else { return nil }
    }
    self.text = text
    self.user = user
    isFirst = parts.count == 1
  }

  static func first(of user: uid_t) -> String { "\(prefix)\(user)" }

  /// A name that another user cannot predict.
  static func another(of user: uid_t) -> String {
    var random = SystemRandomNumberGenerator()
    let end = (0..<length).map { _ in letters[Int.random(in: 0..<letters.count, using: &random)] }
    return "\(first(of: user)).\(String(end))"
  }
}
