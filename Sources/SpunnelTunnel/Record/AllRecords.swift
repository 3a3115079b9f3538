// The tunnels of every user on this host, for root.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// What lies in the state directories of all users.
public struct AllRecords: Sendable {
  /// By job and step.
  public let views: [RecordView]
  /// Directories that are not to be trusted, or cannot be read: they hide no others.
  public let problems: [RecordError]

  /// Directories that are named: anybody may make any number with other users' names.
  private static let mostDistrusted = 50

  /// - Parameters:
  ///   - base: an absolute path, of `state_dir=`
  ///   - isMeant: whose records are read at all
  public static func find(
    in base: String, where isMeant: (StepName) -> Bool = { _ in true }
  ) throws(RecordError) -> AllRecords {
    var (views, distrusted, bounded): ([RecordView], [RecordError], [RecordError]) = ([], [], [])
    var unnamed = 0
    var allowances: [uid_t: Allowance] = [:]
    for name in try names(in: base) {
      do throws(RecordError) {
        views += try RecordView.all(
          in: base, name, where: isMeant, within: &allowances[name.user, default: .most])
      } catch {
        // Anybody may take names of this kind: what nobody looks for is in nobody's way.
        if !name.isFirst { continue }
        if distrusted.count < mostDistrusted { distrusted.append(error) } else { unnamed += 1 }
      }
    }
    for (_, allowance) in allowances.sorted(by: { $0.key < $1.key }) {
      bounded += allowance.problems
    }
    views.sort { ($0.step.job, $0.step.step) < ($1.step.job, $1.step.step) }
    if unnamed > 0 { distrusted.append(.moreUntrusted(unnamed, base: base)) }
    return AllRecords(views: views, problems: distrusted + bounded)
  }

  /// What has a state directory's name, by user, the first of each before others.
  static func names(in base: String) throws(RecordError) -> [StateName] {
    let names = try recording { () throws(SystemError) in
      try Directory.open(following: base).names { StateName($0) }
    }
    return names.sorted { ($0.user, $0.text) < ($1.user, $1.text) }
  }
}

/// How much of one user's records is taken in by whoever looks at everybody's: there may be any number, of
/// any size, and what one user has made takes nothing away from the others.
struct Allowance {
  /// More tunnels than anybody has on one host, and more than they say of themselves: usual ones are
  /// below 1 kB, one to each of 10,000 nodes is below 1 MB.
  static let most = Allowance(records: 4096, bytes: 8 << 20)
  static let unlimited = Allowance(records: .max, bytes: .max)

  private(set) var records: Int
  private(set) var bytes: Int
  private(set) var problems: [RecordError] = []

  private init(records: Int, bytes: Int) { (self.records, self.bytes) = (records, bytes) }

  /// Those that are looked at.
  ///
  /// - Parameter path: of the user's directory
  mutating func take(_ steps: [StepName], of path: String) -> ArraySlice<StepName> {
    if steps.count > records {
      problems.append(.tooMuch(path: path, what: "\(records) records: the others are not shown"))
    }
    return steps.prefix(records)
  }

  /// A record's files were read.
  mutating func take(bytes count: Int, of path: String) {
    if bytes <= 0 { return }
    bytes -= count
    if bytes <= 0 {
      let limit = Allowance.most.bytes >> 20
      problems.append(.tooMuch(path: path, what: "\(limit) MB of records: the others are not read"))
    }
  }
}
