// Directories that another user cannot replace: opened once, then used by descriptor.

import CSystem
import Glibc

/// An open directory. Names in it are resolved relative to its descriptor, so a rename or a link on
/// the path has no effect. Most functions do not cross a mount point: another user may have mounted
/// a file system there (fuse(4)) that shows any owner and mode, or that never answers.
public struct Directory: ~Copyable {
  public let descriptor: FileDescriptor
  /// The path, for messages and for programs that need one.
  public let path: String

  private init(_ descriptor: consuming FileDescriptor, _ path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  private static let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW

  /// Opens a directory. The last part of the path must not be a symbolic link.
  public static func open(_ path: String) throws(SystemError) -> Directory {
    Directory(try FileDescriptor.open(path, flags), path)
  }

  /// Opens a directory and follows symbolic links: for a path that the administrator chose.
  public static func open(following path: String) throws(SystemError) -> Directory {
    Directory(try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY), path)
  }

  /// Opens a directory for its attributes only (open(2), `O_PATH`). The user need not be allowed to
  /// read it.
  public static func reference(_ path: String) throws(SystemError) -> Directory {
    Directory(try FileDescriptor.open(path, csystem_o_path | flags), path)
  }

  /// Opens a directory inside this one, or its parent with `..`, for its attributes only.
  ///
  /// - Throws: `EXDEV` if a mount point lies there
  public borrowing func reference(_ name: String) throws(SystemError) -> Directory {
    Directory(
      try FileDescriptor.open(name, within: descriptor.raw, csystem_o_path | Directory.flags),
      path(of: name))
  }

  /// Opens a directory inside this one for its attributes only, across a mount point too.
  borrowing func referenceAcross(_ name: String) throws(SystemError) -> Directory {
    Directory(
      try FileDescriptor.open(name, in: descriptor.raw, csystem_o_path | Directory.flags),
      path(of: name))
  }

  /// The path of a name, for messages. This directory's own path must have no symbolic links.
  borrowing func path(of name: String) -> String {
    guard name == ".." else { return (path == "/" ? "" : path) + "/" + name }
    let parent = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
    return parent.isEmpty ? "/" : String(parent)
  }

  /// Opens a directory inside this one.
  ///
  /// - Throws: `EXDEV` if a mount point lies there
  public borrowing func open(_ name: String) throws(SystemError) -> Directory {
    Directory(
      try FileDescriptor.open(name, within: descriptor.raw, Directory.flags), path + "/" + name)
  }

  /// Makes a directory with mode 0700 (mkdirat(2)).
  ///
  /// - Returns: false if the name exists already
  @discardableResult
  public borrowing func create(_ name: String) throws(SystemError) -> Bool {
    do throws(SystemError) {
      try check("mkdir \(path)/\(name)") { unsafe mkdirat(descriptor.raw, name, 0o700) }
      return true
    } catch {
      if error.code == EEXIST { return false }
      throw error
    }
  }

  /// The attributes of the directory itself (fstat(2)).
  public borrowing func attributes() throws(SystemError) -> stat {
    var result = stat()
    try check("stat \(path)") { unsafe fstat(descriptor.raw, &result) }
    return result
  }

  /// Takes an exclusive lock (flock(2)).
  ///
  /// - Parameter waiting: whether to wait for the lock
  /// - Returns: false if another process holds the lock and `waiting` is false
  public borrowing func lock(waiting: Bool) throws(SystemError) -> Bool {
    do throws(SystemError) {
      try check("lock \(path)") { flock(descriptor.raw, waiting ? LOCK_EX : LOCK_EX | LOCK_NB) }
      return true
    } catch {
      if error.code == EWOULDBLOCK { return false }
      throw error
    }
  }

  /// Releases this process's lock.
  public borrowing func unlock() { _ = flock(descriptor.raw, LOCK_UN) }

  /// Whether another process holds the exclusive lock. The check takes a shared lock for a moment,
  /// so two checks at the same time do not disturb each other. If the kernel cannot say, the
  /// directory counts as locked.
  public borrowing func isLocked() -> Bool {
    do throws(SystemError) {
      try check("lock \(path)") { flock(descriptor.raw, LOCK_SH | LOCK_NB) }
    } catch { return true }
    unlock()
    return false
  }

  /// Whether the name exists in the directory. For the user's own directories only, because it
  /// crosses mount points. It needs no descriptor, so it works when none is free.
  public borrowing func contains(_ name: String) -> Bool {
    unsafe faccessat(descriptor.raw, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0
  }

  /// Renames a file within the directory (renameat(2)).
  public borrowing func rename(_ old: String, to new: String) throws(SystemError) {
    try check("rename \(path)/\(old)") {
      unsafe renameat(descriptor.raw, old, descriptor.raw, new)
    }
  }

  /// The names in the directory, without `.` and `..`, in no particular order.
  public borrowing func names() throws(SystemError) -> [String] { try names { $0 } }

  /// The names in the directory, filtered and converted by `kept`. Nothing else is kept in memory:
  /// another user may have made millions of files.
  public borrowing func names<Kept>(
    as kept: (String) -> Kept?
  ) throws(SystemError) -> [Kept] {
    // A new open file description, because a duplicate would share the read offset.
    let copy = try FileDescriptor.open(".", within: descriptor.raw, Directory.flags)
    let stream = unsafe try checkPointer("read \(path)") { unsafe fdopendir(copy.raw) }
    // From here on the stream owns the descriptor.
    _ = copy.release()
    defer { unsafe closedir(stream) }
    var all: [Kept] = []
    while let entry = unsafe try checkEnd("read \(path)", { unsafe readdir(stream) }) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
        unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != ".", name != "..", let one = kept(name) { all.append(one) }
    }
    return all
  }

  /// Reads a regular file in the directory. It follows no link and never reads a FIFO.
  ///
  /// - Parameters:
  ///   - limit: the most bytes to read
  ///   - isSole: whether a file with more than one name (hard link) is refused
  /// - Throws: `EINVAL` if it is not a regular file, `EMLINK` if it has other names, `EXDEV` for a
  ///   mount point
  public borrowing func read(
    _ name: String, atMost limit: Int, isSole: Bool = false
  ) throws(SystemError) -> [UInt8] {
    let file = try openToRead(name)
    let size = try file.sizeOfRegular("\(path)/\(name)", isSole)
    return try file.content(expecting: size, atMost: limit)
  }

  /// Reads the end of a regular file in the directory, as `read` does.
  ///
  /// - Parameters:
  ///   - limit: the most bytes to read
  ///   - isSole: whether a file with more than one name (hard link) is refused
  public borrowing func readEnd(
    _ name: String, atMost limit: Int, isSole: Bool = false
  ) throws(SystemError) -> [UInt8] {
    let file = try openToRead(name)
    let size = try file.sizeOfRegular("\(path)/\(name)", isSole)
    if size > limit {
      try check("lseek \(path)/\(name)") { lseek(file.raw, off_t(size - limit), SEEK_SET) }
    }
    return try file.content(expecting: min(size, limit), atMost: limit)
  }

  private borrowing func openToRead(_ name: String) throws(SystemError) -> FileDescriptor {
    try FileDescriptor.open(name, within: descriptor.raw, O_RDONLY | O_NONBLOCK)
  }

  /// Replaces a file in one step: readers see the old content or the new content.
  public borrowing func replace(_ name: String, with content: [UInt8]) throws(SystemError) {
    let draft = name + ".new"
    let file = try FileDescriptor.open(
      draft, within: descriptor.raw, O_WRONLY | O_CREAT | O_TRUNC)
    try file.writeAll(content)
    try rename(draft, to: name)
  }

  /// Makes an empty file. If the name exists already, the file is left as it is and is not opened.
  public borrowing func touch(_ name: String) throws(SystemError) {
    do throws(SystemError) {
      _ = try FileDescriptor.open(
        name, within: descriptor.raw, O_WRONLY | O_CREAT | O_EXCL)
    } catch { if error.code != EEXIST { throw error } }
  }

  /// Removes a file. A missing file is not an error.
  public borrowing func remove(_ name: String) {
    _ = unsafe unlinkat(descriptor.raw, name, 0)
  }

  /// Removes a directory inside this one, if it is empty.
  ///
  /// - Returns: whether it no longer exists
  @discardableResult
  public borrowing func removeDirectory(_ name: String) -> Bool {
    do throws(SystemError) {
      try check("rmdir \(path)/\(name)") { unsafe unlinkat(descriptor.raw, name, AT_REMOVEDIR) }
      return true
    } catch { return error.code == ENOENT }
  }
}

extension Directory {
  /// The target of a symbolic link in the directory; `nil` if no link has that name.
  public borrowing func target(of name: String) -> String? {
    Directory.target(of: name, in: descriptor.raw)
  }

  /// The target of a symbolic link.
  ///
  /// - Parameter name: empty if `descriptor` is the link itself (readlink(2))
  static func target(of name: String, in descriptor: CInt) -> String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlinkat(descriptor, name, &buffer, buffer.count)
    if count < 0 { return nil }
    return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Makes a symbolic link in the directory. It replaces an older link in one step.
  public borrowing func link(_ name: String, to target: String) throws(SystemError) {
    let draft = name + ".new"
    remove(draft)
    try check("link \(path)/\(name)") { unsafe symlinkat(target, descriptor.raw, draft) }
    try rename(draft, to: name)
  }
}

extension FileDescriptor {
  /// The size of a regular file in bytes.
  ///
  /// - Throws: `EINVAL` if it is not a regular file, `EMLINK` if it has other names
  fileprivate func sizeOfRegular(_ path: String, _ isSole: Bool) throws(SystemError) -> Int {
    var kind = stat()
    try check("stat \(path)") { unsafe fstat(raw, &kind) }
    if kind.st_mode & S_IFMT != S_IFREG { throw SystemError("read \(path)", EINVAL) }
    // A file that was replaced after it was opened has no name left, so 0 links are fine.
    if isSole && kind.st_nlink > 1 { throw SystemError("read \(path)", EMLINK) }
    return Int(kind.st_size)
  }

  /// Reads the rest of a file.
  ///
  /// - Parameters:
  ///   - size: the expected size; files in /proc report 0
  ///   - limit: the most bytes to read
  /// - Returns: the bytes up to the end of the file or the limit
  public func content(expecting size: Int, atMost limit: Int) throws(SystemError) -> [UInt8] {
    // One byte more, so that the first read of a small file also finds its end. The reported size
    // may be as large as Int allows, so the limit applies first.
    let room = min(max(size, 4095), limit) + 1
    var content: [UInt8] = []
    while content.count < limit, let more = try read(atMost: min(room, limit - content.count)),
      !more.isEmpty
    {
      content += more
      if more.count < room && content.count == size { break }
    }
    return content
  }
}
