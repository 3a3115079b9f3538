// Where records lie: `<base>/spunnel-<uid>/<job>.<step>/`, in a place that strangers share.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// One user's directory of records, open and checked.
///
/// Its name is `spunnel-<uid>`. Another user may have taken that, for every uid there is: then it has another name,
/// which nobody could know before, and is found by its owner.
public struct StateDirectory: ~Copyable {
  private let base: Directory
  private let root: Directory
  var path: String { root.path }
  private let name: String

  private init(base: consuming Directory, root: consuming Directory, name: String) {
    self.base = base
    self.root = root
    self.name = name
  }

  /// Opens the user's directory and makes it when it is not there. Where another user has taken its name, one
  /// of another name serves (`StateName`).
  ///
  /// - Parameters:
  ///   - base: an absolute path, `/tmp` unless `state_dir=` says otherwise
  ///   - user: whose records
  public static func create(in base: String, user: uid_t) throws(RecordError) -> StateDirectory {
    let parent = try openBase(base, user)
    let name = StateName.first(of: user)
    // More than once: a keeper that ends may remove the empty directory between the two calls.
    for _ in 0..<16 {
      try recording { () throws(SystemError) in _ = try parent.create(name) }
      switch try openRoot(in: parent, name, user) {
      case .own(let root): return StateDirectory(base: parent, root: root, name: name)
      case .absent: continue
      case .foreign:
        guard let other = try createOther(in: parent, user) else { continue }
        if case .own(let root) = try openRoot(in: parent, other, user) {
          return StateDirectory(base: parent, root: root, name: other)
        }
      }
    }
    throw .system(SystemError("mkdir \(base)/\(name)", ENOENT))
  }

  /// Makes a directory under a name that nobody could take before, unless the user has one already. Of two that
  /// are made at the same time both go, and both makers try again: one is all that may be in use.
  ///
  /// - Returns: the name, `nil` when it is to be tried again
  private static func createOther(
    in parent: borrowing Directory, _ user: uid_t
  ) throws(RecordError) -> String? {
    if let known = try others(in: parent, user).first { return known }
    let name = StateName.another(of: user)
    let isNew = try recording { () throws(SystemError) in try parent.create(name) }
    if isNew, try others(in: parent, user) == [name] { return name }
    if isNew { parent.removeDirectory(name) }
    return nil
  }

  /// The names of the user's directories besides the first.
  private static func others(
    in parent: borrowing Directory, _ user: uid_t
  ) throws(RecordError) -> [String] {
    let names = try recording { () throws(SystemError) in
      try parent.names { StateName($0).flatMap { $0.user == user && !$0.isFirst ? $0.text : nil } }
    }
    return names.sorted().filter { name in
      if case .own = try? openRoot(in: parent, name, user) { true } else { false }
    }
  }

  /// Where the user's records are: one directory as a rule, or none.
  ///
  /// - Parameter base: an absolute path, of `state_dir=`
  /// - Throws: when there is none, and something else has its name
  static func names(in base: String, user: uid_t) throws(RecordError) -> [String] {
    let parent = try openBase(base, user)
    let first = StateName.first(of: user)
    switch try openRoot(in: parent, first, user) {
    // A second one may be left of the time when another user had the name.
    case .own: return [first] + (try others(in: parent, user))
    case .absent: return try others(in: parent, user)
    case .foreign(let error):
      let others = try others(in: parent, user)
      if others.isEmpty { throw error }
      return others
    }
  }

  /// Opens a directory, to look at it.
  ///
  /// - Returns: `nil` when it is gone
  static func find(
    _ name: String, in base: String, user: uid_t
  ) throws(RecordError) -> StateDirectory? {
    let parent = try openBase(base, user)
    switch try openRoot(in: parent, name, user) {
    case .own(let root): return StateDirectory(base: parent, root: root, name: name)
    case .absent: return nil
    case .foreign(let error): throw error
    }
  }

  /// Opens the directory that has the record of a step.
  ///
  /// - Returns: `nil` when this user has none
  public static func find(
    holding step: StepName, in base: String, user: uid_t
  ) throws(RecordError) -> StateDirectory? {
    // Mostly it is the first, and the others need not be looked for.
    if let state = try? find(StateName.first(of: user), in: base, user: user),
      try state.open(step) != nil
    {
      return state
    }
    for name in try names(in: base, user: user) {
      if let state = try find(name, in: base, user: user), try state.open(step) != nil {
        return state
      }
    }
    return nil
  }

  /// Looks whether the directory is there and sound, or can be made.
  public static func verify(in base: String, user: uid_t) throws(RecordError) {
    let parent = try openBase(base, user)
    if case .own = try openRoot(in: parent, StateName.first(of: user), user) { return }
    _ = try recording { () throws(SystemError) in
      try check("write to \(base)") { unsafe access(base, W_OK | X_OK) }
    }
  }

  private static func openBase(_ path: String, _ user: uid_t) throws(RecordError) -> Directory {
    // The sockets in a record are named to ssh by their paths, so the way must stay what it is.
    let found = try recording { () throws(SystemError) in
      try Directory.exposure(along: path, user: user)
    }
    if let found { throw .untrusted(path: found.path, why: found.why) }
    return try recording { () throws(SystemError) in try Directory.open(following: path) }
  }

  /// What has a directory's name.
  private enum Root: ~Copyable {
    case own(Directory)
    case absent
    /// Another user's: the name is his, and nothing of it is used.
    case foreign(RecordError)
  }

  /// - Throws: for a directory of the user's own that others may enter
  private static func openRoot(
    in base: borrowing Directory, _ name: String, _ user: uid_t
  ) throws(RecordError) -> Root {
    let path = base.path + "/" + name
    func foreign(_ why: String) -> Root { .foreign(.untrusted(path: path, why: why)) }
    let why: String?
    do throws(SystemError) {
      let root = try base.open(name)
      why = try root.distrust(user: user)
      if why == nil { return .own(root) }
      if try root.attributes().st_uid != user { return foreign(why ?? "") }
    } catch {
      switch error.code {
      case ENOENT: return .absent
      case EXDEV: return foreign("something is mounted there")
      case ELOOP, ENOTDIR: return foreign("it is not a directory")
      case EACCES: return foreign("it cannot be opened")
      default: throw .system(error)
      }
    }
    throw .untrusted(path: path, why: why ?? "")
  }
}

// MARK: - Records

extension StateDirectory {
  /// The names of all records, alive and stale, lowest first.
  ///
  /// - Parameter isMeant: which ones
  public borrowing func steps(
    where isMeant: (StepName) -> Bool = { _ in true }
  ) throws(RecordError) -> [StepName] {
    let steps = try recording { () throws(SystemError) in
      try root.names { name in StepName(name).flatMap { isMeant($0) ? $0 : nil } }
    }
    return steps.sorted { ($0.job, $0.step) < ($1.job, $1.step) }
  }

  /// Opens one record's directory.
  ///
  /// - Returns: `nil` when it is gone
  borrowing func open(_ step: StepName) throws(RecordError) -> Directory? {
    do throws(SystemError) { return try root.open(step.description) } catch {
      if error.code == ENOENT { return nil }
      throw .system(error)
    }
  }

  /// Makes a record and locks it; stale ones are swept away on the occasion.
  ///
  /// - Returns: `nil` when the state directory itself was removed meanwhile: create it again
  borrowing func add(_ step: StepName) throws(RecordError) -> Directory? {
    // One at a time: between mkdir and lock a new record looks like a stale one.
    _ = try recording { () throws(SystemError) in try root.lock(waiting: true) }
    defer { root.unlock() }
    let found = try recording { () throws(SystemError) in try root.attributes() }
    if found.st_nlink == 0 { return nil }
    try sweepLocked()
    let isNew: Bool
    do throws(SystemError) { isNew = try root.create(step.description) } catch {
      // A record that ends removes the empty state directory without asking for its lock.
      if error.code == ENOENT { return nil }
      throw .system(error)
    }
    if !isNew { throw .taken(step) }
    return try recording { () throws(SystemError) in
      let record = try root.open(step.description)
      _ = try record.lock(waiting: true)
      return record
    }
  }

  /// Whether a keeper holds the record of a step.
  public borrowing func isHeld(_ step: StepName) throws(RecordError) -> Bool {
    guard let record = try open(step) else { return false }
    return record.isLocked()
  }

  /// Sets the exit flag of a tunnel: its keeper tears it down at once. For root the owner is a
  /// stranger: the flag is made anew in a directory that is found to be his alone, or not at all.
  ///
  /// - Returns: false when there is no such tunnel
  public borrowing func requestExit(_ step: StepName) throws(RecordError) -> Bool {
    guard let record = try open(step), record.isLocked() else { return false }
    let why = try recording { () throws(SystemError) in
      try record.distrust(user: try root.attributes().st_uid)
    }
    if let why { throw .untrusted(path: record.path, why: why) }
    try recording { () throws(SystemError) in
      do throws(SystemError) { try record.touch(RecordFile.exit) } catch {
        guard [ENOSPC, EDQUOT].contains(error.code) else { throw error }
        // Where no file can be made any more, one that is there serves.
        try record.rename(RecordFile.status, to: RecordFile.exit)
      }
    }
    return true
  }

  /// Removes a user's records that nobody holds.
  ///
  /// - Returns: the steps whose records were removed
  public static func sweep(in base: String, user: uid_t) throws(RecordError) -> [StepName] {
    var swept: [StepName] = []
    for name in try names(in: base, user: user) {
      swept += try find(name, in: base, user: user)?.sweep() ?? []
    }
    return swept
  }

  private borrowing func sweep() throws(RecordError) -> [StepName] {
    _ = try recording { () throws(SystemError) in try root.lock(waiting: true) }
    defer { root.unlock() }
    let swept = try sweepLocked()
    removeIfEmpty()
    return swept
  }

  @discardableResult
  private borrowing func sweepLocked() throws(RecordError) -> [StepName] {
    var swept: [StepName] = []
    for step in try steps() {
      // What cannot be opened is no record and in nobody's way.
      guard let record = try? open(step), !record.isLocked() else { continue }
      Record.removeSocketsElsewhere(of: step, record)
      try remove(step, record)
      if try open(step) == nil { swept.append(step) }
    }
    return swept
  }

  /// Watches for records that come and go.
  borrowing func watch(_ changes: borrowing DirectoryWatch) throws(SystemError) {
    try changes.add(root)
  }

  /// Removes a record with all that is in it. Only for who holds it, or for a sweep: nobody else removes it
  /// meanwhile, and no lock is waited for that something stopped may hold.
  borrowing func remove(_ step: StepName, _ record: borrowing Directory) throws(RecordError) {
    let isGone = try recording { () throws(SystemError) in try record.attributes().st_nlink == 0 }
    // What has the name by now is the next tunnel's, and as long as it is empty it could be removed.
    if isGone { return }
    try recording { () throws(SystemError) in
      for name in try record.names() { record.remove(name) }
    }
    root.removeDirectory(step.description)
  }

  /// Leaves nothing behind, not even an empty directory.
  borrowing func removeIfEmpty() { base.removeDirectory(name) }
}
