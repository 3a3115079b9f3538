// Tells when records change, so that nobody has to look again and again.

import Glibc
import SpunnelSystem

/// The state directories of one user or of all, and the records in them, under watch (inotify(7)).
public final class RecordWatch {
  private let changes: DirectoryWatch
  private let base: String
  private let user: uid_t?

  /// - Parameters:
  ///   - base: an absolute path, of `state_dir=`
  ///   - user: whose; `nil`: everybody's
  public init(in base: String, user: uid_t?) throws(SystemError) {
    changes = try DirectoryWatch()
    self.base = base
    self.user = user
  }

  /// Readable when something may have changed.
  public var descriptor: CInt { changes.descriptor.raw }

  /// Forgets what was noted, and takes in directories that are new: to be called before one looks.
  /// What cannot be watched is passed over: whoever looks now and then sees it all the same.
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
