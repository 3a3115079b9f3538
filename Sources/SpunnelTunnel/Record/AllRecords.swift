// The tunnels of every user on this host, for root.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// The records in the state directories of all users.
public struct AllRecords: Sendable {
  /// The records, sorted by job and step.
  public let views: [RecordView]
  /// Directories that cannot be trusted or read. The other directories are still listed.
  public let problems: [RecordError]

  /// The most directories that are named in errors. Any user can make any number of directories
  /// with other users' names.
  private static let mostDistrusted = 50

  /// Reads the records of all users.
  ///
  /// - Parameters:
  ///   - base: the absolute path of `state_dir=`
  ///   - isMeant: which records to read
  /// - Throws: a failure to read `base` itself
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
        // Any user can take names of this kind. An untrusted directory with such a name holds
        // no tunnel of the user that it names.
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

  /// The state directories in `base`, sorted by user, the first name of each user before its
  /// others.
  static func names(in base: String) throws(RecordError) -> [StateName] {
    let names = try recording { () throws(SystemError) in
      try Directory.open(following: base).names { StateName($0) }
    }
    return names.sorted { ($0.user, $0.text) < ($1.user, $1.text) }
  }
}

/// Bounds how much of one user's records root reads.
///
/// A user can make any number of records of any size. The bound is per user, so one user cannot
/// hide the tunnels of another.
struct Allowance {
  /// More than a real user has on one host. A usual record is below 1 kB; a record with forwards to
  /// 10,000 nodes is below 1 MB.
  static let most = Allowance(records: 4096, bytes: 8 << 20)
  static let unlimited = Allowance(records: .max, bytes: .max)

  private(set) var records: Int
  private(set) var bytes: Int
  private(set) var problems: [RecordError] = []

  private init(records: Int, bytes: Int) { (self.records, self.bytes) = (records, bytes) }

  /// Takes as many records as are left, and notes a problem if there are more.
  ///
  /// - Parameters:
  ///   - steps: the records that were found
  ///   - path: the path of the user's directory, for the problem
  /// - Returns: the records to read
  mutating func take(_ steps: [StepName], of path: String) -> ArraySlice<StepName> {
    if steps.count > records {
      problems.append(.tooMuch(path: path, what: "\(records) records: the others are not shown"))
    }
    return steps.prefix(records)
  }

  /// Subtracts the size of a record that was read.
  ///
  /// - Parameters:
  ///   - count: its size in bytes
  ///   - path: the path of the user's directory, for the problem
  mutating func take(bytes count: Int, of path: String) {
    if bytes <= 0 { return }
    bytes -= count
    if bytes <= 0 {
      let limit = Allowance.most.bytes >> 20
      problems.append(.tooMuch(path: path, what: "\(limit) MB of records: the others are not read"))
    }
  }
}
