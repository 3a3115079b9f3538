// Reports changes of records, so that commands need not poll.

import Glibc
import SpunnelSystem

/// The state directories of one user or of all users, watched with their records (inotify(7)).
public final class RecordWatch {
  private let changes: DirectoryWatch
  private let base: String
  private let user: uid_t?

  /// - Parameters:
  ///   - base: the absolute path of `state_dir=`
  ///   - user: the owner to watch; `nil` for every user
  public init(in base: String, user: uid_t?) throws(SystemError) {
    changes = try DirectoryWatch()
    self.base = base
    self.user = user
  }

  /// A descriptor that is readable after a change. It belongs to this object.
  public var descriptor: CInt { changes.descriptor.raw }

  /// Drains pending events and watches new directories. Call it before reading the records.
  ///
  /// A directory that cannot be watched is skipped: the caller also looks at intervals.
  public func renew() {
    try? changes.clear()
    if let parent = try? Directory.open(following: base) { try? changes.add(parent) }
    let names =
      user.map {
        ((try? StateDirectory.names(in: base, user: $0)) ?? []).compactMap(StateName.init)
      }
      ?? (try? AllRecords.names(in: base)) ?? []
    for name in names {
      do throws(RecordError) {
        let found = try StateDirectory.find(name.text, in: base, user: name.user)
        guard let state = found else { continue }
        try? state.watch(changes)
        for step in try state.steps().prefix(user == nil ? Allowance.most.records : .max) {
          if let record = try? state.open(step) { try? changes.add(record) }
        }
      } catch { continue }
    }
  }
}
