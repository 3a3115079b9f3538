// The tunnels of every user on this host, for root.

import Glibc
import SpunnelSystem

/// What lies in the state directories of all users.
public struct AllRecords: Sendable {
  /// By job and step.
  public let views: [RecordView]
  /// Directories that are not to be trusted, or cannot be read: they hide no others.
  public let problems: [RecordError]

  /// - Parameters:
  ///   - base: an absolute path, of `state_dir=`
  ///   - isMeant: whose records are read at all
  public static func find(
    in base: String, where isMeant: (StepName) -> Bool = { _ in true }
  ) throws(RecordError) -> AllRecords {
    var (views, problems): ([RecordView], [RecordError]) = ([], [])
    for user in try users(in: base) {
      do throws(RecordError) {
        views += try RecordView.all(in: base, user: user, where: isMeant)
      } catch {
        problems.append(error)
      }
    }
    views.sort { ($0.step.job, $0.step.step) < ($1.step.job, $1.step.step) }
    return AllRecords(views: views, problems: problems)
  }

  /// The users with something of a state directory's name, lowest first.
  static func users(in base: String) throws(RecordError) -> [uid_t] {
    let names = try recording { () throws(SystemError) in
      try Directory.open(following: base).names()
    }
    return names.compactMap { user(of: $0) }.sorted()
  }

  private static func user(of name: String) -> uid_t? {
    let prefix = "spunnel-"
    guard name.hasPrefix(prefix), let number = wholeNumber(name.dropFirst(prefix.count)),
      let user = uid_t(exactly: number), "\(prefix)\(user)" == name
    else { return nil }
    return user
  }
}
