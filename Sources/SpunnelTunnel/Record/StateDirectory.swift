// Where records lie: `<base>/spunnel-<uid>/<job>.<step>/`, in a place that strangers share.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// One user's directory of records, open and checked.
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

  /// Opens the directory and makes it when it is not there.
  ///
  /// - Parameters:
  ///   - base: an absolute path, `/tmp` unless `state_dir=` says otherwise
  ///   - user: whose records
  public static func create(in base: String, user: uid_t) throws(RecordError) -> StateDirectory {
    let name = "spunnel-\(user)"
    let parent = try openBase(base, user)
    // More than once: a keeper that ends may remove the empty directory between the two calls.
    for _ in 0..<16 {
      try recording { () throws(SystemError) in _ = try parent.create(name) }
      if let root = try openRoot(in: parent, name, user) {
        return StateDirectory(base: parent, root: root, name: name)
      }
    }
    throw .system(SystemError("mkdir \(base)/\(name)", ENOENT))
  }

  /// Opens the directory, to look at it.
  ///
  /// - Returns: `nil` when this user has none
  public static func find(in base: String, user: uid_t) throws(RecordError) -> StateDirectory? {
    let name = "spunnel-\(user)"
    let parent = try openBase(base, user)
    guard let root = try openRoot(in: parent, name, user) else { return nil }
    return StateDirectory(base: parent, root: root, name: name)
  }

  /// Looks whether the directory is there and sound, or can be made.
  public static func verify(in base: String, user: uid_t) throws(RecordError) {
    if try find(in: base, user: user) != nil { return }
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

  private static func openRoot(
    in base: borrowing Directory, _ name: String, _ user: uid_t
  ) throws(RecordError) -> Directory? {
    let path = base.path + "/" + name
    guard let root = try openRoot(in: base, name, path) else { return nil }
    let why = try recording { () throws(SystemError) in try root.distrust(user: user) }
    if let why { throw .untrusted(path: path, why: why) }
    return root
  }

  private static func openRoot(
    in base: borrowing Directory, _ name: String, _ path: String
  ) throws(RecordError) -> Directory? {
    do throws(SystemError) { return try base.open(name) } catch {
      switch error.code {
      case ENOENT: return nil
      case ELOOP, ENOTDIR: throw .untrusted(path: path, why: "it is not a directory")
      case EACCES: throw .untrusted(path: path, why: "it cannot be opened")
      default: throw .system(error)
      }
    }
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

  /// Removes the records that nobody holds.
  ///
  /// - Returns: the steps that were removed
  @discardableResult
  public borrowing func sweep() throws(RecordError) -> [StepName] {
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
