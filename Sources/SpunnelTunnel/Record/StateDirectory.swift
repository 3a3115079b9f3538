// The state directory that holds a user's records, `<base>/spunnel-<uid>/<job>.<step>/`. `<base>`
// is shared with strangers.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// One user's directory of records, open and checked.
///
/// Its name is `spunnel-<uid>`. Another user can take that name for every uid. In this case the
/// directory gets an unpredictable name (`StateName`) and is recognized by its owner.
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

  /// Opens the user's directory, and makes it if it is missing.
  ///
  /// If another user has taken its name, a directory with an unpredictable name is used.
  ///
  /// - Parameters:
  ///   - base: an absolute path: `/tmp`, or the value of `state_dir=`
  ///   - user: the owner of the records
  /// - Throws: a directory that cannot be trusted, or a failed system call
  public static func create(in base: String, user: uid_t) throws(RecordError) -> StateDirectory {
    let parent = try openBase(base, user)
    let name = StateName.first(of: user)
    // Retries: a keeper that ends may remove the empty directory between the two calls.
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

  /// Makes a directory with an unpredictable name, unless the user has one already.
  ///
  /// If two keepers make one at the same time, both remove theirs and try again: only one may be in
  /// use.
  ///
  /// - Returns: the name; `nil` when the caller must try again
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

  /// The names of the user's directories other than the first.
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

  /// The names of the user's state directories: usually one or none.
  ///
  /// - Parameter base: the absolute path of `state_dir=`
  /// - Throws: when the user has no directory and another user has taken its name
  static func names(in base: String, user: uid_t) throws(RecordError) -> [String] {
    let parent = try openBase(base, user)
    let first = StateName.first(of: user)
    switch try openRoot(in: parent, first, user) {
    // A second directory may remain from a time when another user had the first name.
    case .own: return [first] + (try others(in: parent, user))
    case .absent: return try others(in: parent, user)
    case .foreign(let error):
      let others = try others(in: parent, user)
      if others.isEmpty { throw error }
      return others
    }
  }

  /// Opens a state directory for reading.
  ///
  /// - Returns: `nil` when it does not exist
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

  /// Opens the state directory that holds the record of a step.
  ///
  /// - Parameters:
  ///   - step: the step of the record
  ///   - base: the absolute path of `state_dir=`
  ///   - user: the owner of the record
  /// - Returns: `nil` when this user has no such record
  public static func find(
    holding step: StepName, in base: String, user: uid_t
  ) throws(RecordError) -> StateDirectory? {
    // The first directory is tried first: usually it holds the record, and no search is needed.
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

  /// Checks that the user's directory is there and trusted, or that it can be made.
  public static func verify(in base: String, user: uid_t) throws(RecordError) {
    let parent = try openBase(base, user)
    if case .own = try openRoot(in: parent, StateName.first(of: user), user) { return }
    _ = try recording { () throws(SystemError) in
      try check("write to \(base)") { unsafe access(base, W_OK | X_OK) }
    }
  }

  private static func openBase(_ path: String, _ user: uid_t) throws(RecordError) -> Directory {
    // ssh is told the sockets of a record by path, so no other user may be able to change that
    // path.
    let found = try recording { () throws(SystemError) in
      try Directory.exposure(along: path, user: user)
    }
    if let found { throw .untrusted(path: found.path, why: found.why) }
    return try recording { () throws(SystemError) in try Directory.open(following: path) }
  }

  /// What was found under a state directory's name.
  private enum Root: ~Copyable {
    case own(Directory)
    case absent
    /// An entry of another user. Nothing in it is used.
    case foreign(RecordError)
  }

  /// - Throws: when the user's own directory is open to other users
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
  /// The steps of all records, alive and stale, in ascending order.
  ///
  /// - Parameter isMeant: which steps to include
  public borrowing func steps(
    where isMeant: (StepName) -> Bool = { _ in true }
  ) throws(RecordError) -> [StepName] {
    let steps = try recording { () throws(SystemError) in
      try root.names { name in StepName(name).flatMap { isMeant($0) ? $0 : nil } }
    }
    return steps.sorted { ($0.job, $0.step) < ($1.job, $1.step) }
  }

  /// Opens the directory of one record.
  ///
  /// - Returns: `nil` when it does not exist
  borrowing func open(_ step: StepName) throws(RecordError) -> Directory? {
    do throws(SystemError) { return try root.open(step.description) } catch {
      if error.code == ENOENT { return nil }
      throw .system(error)
    }
  }

  /// Makes a record and locks it, and removes stale records.
  ///
  /// - Returns: `nil` when the state directory itself was removed; the caller creates it again
  borrowing func add(_ step: StepName) throws(RecordError) -> Directory? {
    // The lock serializes this: between mkdir and lock, a new record looks stale.
    _ = try recording { () throws(SystemError) in try root.lock(waiting: true) }
    defer { root.unlock() }
    let found = try recording { () throws(SystemError) in try root.attributes() }
    if found.st_nlink == 0 { return nil }
    try sweepLocked()
    let isNew: Bool
    do throws(SystemError) { isNew = try root.create(step.description) } catch {
      // A record that ends removes the empty state directory without taking this lock.
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

  /// Sets the exit flag of a tunnel. Its keeper closes the tunnel at once.
  ///
  /// root does not trust the owner: the flag is written only into a directory that belongs to the
  /// owner alone.
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
        // On a full disk no file can be made, so an existing file is renamed.
        try record.rename(RecordFile.status, to: RecordFile.exit)
      }
    }
    return true
  }

  /// Removes a user's records that no keeper holds.
  ///
  /// - Parameters:
  ///   - base: the absolute path of `state_dir=`
  ///   - user: the owner of the records
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
      // An entry that cannot be opened is not a record, and does no harm.
      guard let record = try? open(step), !record.isLocked() else { continue }
      Record.removeSocketsElsewhere(of: step, record)
      try remove(step, record)
      if try open(step) == nil { swept.append(step) }
    }
    return swept
  }

  /// Watches for records that are made or removed.
  borrowing func watch(_ changes: borrowing DirectoryWatch) throws(SystemError) {
    try changes.add(root)
  }

  /// Removes a record with all its files. The caller holds the record's lock or the sweep's lock,
  /// so no other process removes it meanwhile. This function takes no lock, because a stopped
  /// process may hold one.
  borrowing func remove(_ step: StepName, _ record: borrowing Directory) throws(RecordError) {
    let isGone = try recording { () throws(SystemError) in try record.attributes().st_nlink == 0 }
    // If the record is gone, its name may belong to the next tunnel, whose directory is removable
    // while it is empty.
    if isGone { return }
    try recording { () throws(SystemError) in
      for name in try record.names() { record.remove(name) }
    }
    root.removeDirectory(step.description)
  }

  /// Removes the state directory if it is empty.
  borrowing func removeIfEmpty() { base.removeDirectory(name) }
}
