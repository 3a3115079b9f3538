// Directories that nobody else can turn into something else: opened once, then used by descriptor.

import CSystem
import Glibc

/// An open directory. Everything in it is named relative to it, so that no rename or link on the
/// way can lead elsewhere, and opened without crossing a mount: a file system that another user has
/// mounted in it (fuse(4)) could show any owner and any mode, or never answer.
public struct Directory: ~Copyable {
  public let descriptor: FileDescriptor
  /// For messages and for programs that want a path.
  public let path: String

  private init(_ descriptor: consuming FileDescriptor, _ path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  private static let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW

  /// Opens a directory whose last part is no link.
  public static func open(_ path: String) throws(SystemError) -> Directory {
    Directory(try FileDescriptor.open(path, flags), path)
  }

  /// Opens a directory, through links as well: for a path that the administrator chose.
  public static func open(following path: String) throws(SystemError) -> Directory {
    Directory(try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY), path)
  }

  /// Opens a directory whose content one may not be allowed to read: for its attributes alone
  /// (open(2), `O_PATH`).
  public static func reference(_ path: String) throws(SystemError) -> Directory {
    Directory(try FileDescriptor.open(path, csystem_o_path | flags), path)
  }

  /// The same for a directory of this one, or with `..` for the one that it lies in.
  public borrowing func reference(_ name: String) throws(SystemError) -> Directory {
    Directory(
      try FileDescriptor.open(name, within: descriptor.raw, csystem_o_path | Directory.flags),
      path(of: name))
  }

  /// The same across a mount.
  borrowing func referenceAcross(_ name: String) throws(SystemError) -> Directory {
    Directory(
      try FileDescriptor.open(name, in: descriptor.raw, csystem_o_path | Directory.flags),
      path(of: name))
  }

  /// For messages; of a directory whose own path has no links.
  borrowing func path(of name: String) -> String {
    guard name == ".." else { return (path == "/" ? "" : path) + "/" + name }
    let parent = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
    return parent.isEmpty ? "/" : String(parent)
  }

  /// Opens a directory of this one.
  public borrowing func open(_ name: String) throws(SystemError) -> Directory {
    Directory(
      try FileDescriptor.open(name, within: descriptor.raw, Directory.flags), path + "/" + name)
  }

  /// mkdirat(2) with mode 0700.
  ///
  /// - Returns: false when the name was taken
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

  /// fstat(2) of the directory itself.
  public borrowing func attributes() throws(SystemError) -> stat {
    var result = stat()
    try check("stat \(path)") { unsafe fstat(descriptor.raw, &result) }
    return result
  }

  /// flock(2), exclusive.
  ///
  /// - Parameter waiting: whether to wait for it
  /// - Returns: false when somebody else holds it and `waiting` is false
  public borrowing func lock(waiting: Bool) throws(SystemError) -> Bool {
    do throws(SystemError) {
      try check("lock \(path)") { flock(descriptor.raw, waiting ? LOCK_EX : LOCK_EX | LOCK_NB) }
      return true
    } catch {
      if error.code == EWOULDBLOCK { return false }
      throw error
    }
  }

  /// Gives up one's own lock.
  public borrowing func unlock() { _ = flock(descriptor.raw, LOCK_UN) }

  /// Whether somebody holds it exclusively. Asks with a shared lock, so that two who ask do not
  /// take each other for the holder. Where the kernel cannot say, somebody is taken to.
  public borrowing func isLocked() -> Bool {
    do throws(SystemError) {
      try check("lock \(path)") { flock(descriptor.raw, LOCK_SH | LOCK_NB) }
    } catch { return true }
    unlock()
    return false
  }

  /// Whether there is something of that name. For a directory of this user's own: a mount is looked at.
  /// Needs no descriptor, as there may be none left.
  public borrowing func contains(_ name: String) -> Bool {
    unsafe faccessat(descriptor.raw, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0
  }

  /// renameat(2) within the directory.
  public borrowing func rename(_ old: String, to new: String) throws(SystemError) {
    try check("rename \(path)/\(old)") {
      unsafe renameat(descriptor.raw, old, descriptor.raw, new)
    }
  }

  /// The names in it, without `.` and `..`, in no order.
  public borrowing func names() throws(SystemError) -> [String] { try names { $0 } }

  /// What the names in it stand for. Nothing else is kept: somebody else may have made millions.
  public borrowing func names<Kept>(
    as kept: (String) -> Kept?
  ) throws(SystemError) -> [Kept] {
    // A descriptor of its own: reading moves an offset that duplicates would share.
    let copy = try FileDescriptor.open(".", within: descriptor.raw, Directory.flags)
    let stream = unsafe try checkPointer("read \(path)") { unsafe fdopendir(copy.raw) }
    // The stream's from here on.
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

  /// The content of a regular file in it, never through a link and never of a FIFO.
  ///
  /// - Parameters:
  ///   - limit: bytes that are read at the most
  ///   - isSole: whether a file that has other names as well is refused
  public borrowing func read(
    _ name: String, atMost limit: Int, isSole: Bool = false
  ) throws(SystemError) -> [UInt8] {
    let file = try openToRead(name)
    let size = try file.sizeOfRegular("\(path)/\(name)", isSole)
    return try file.content(expecting: size, atMost: limit)
  }

  /// The end of a regular file in it, as `read` reads one.
  ///
  /// - Parameters:
  ///   - limit: bytes that are read at the most
  ///   - isSole: whether a file that has other names as well is refused
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

  /// Replaces a file as a whole: readers see the old content or the new one.
  public borrowing func replace(_ name: String, with content: [UInt8]) throws(SystemError) {
    let draft = name + ".new"
    let file = try FileDescriptor.open(
      draft, within: descriptor.raw, O_WRONLY | O_CREAT | O_TRUNC)
    try file.writeAll(content)
    try rename(draft, to: name)
  }

  /// Makes an empty file. Whatever has the name already stays as it is, and is not even opened.
  public borrowing func touch(_ name: String) throws(SystemError) {
    do throws(SystemError) {
      _ = try FileDescriptor.open(
        name, within: descriptor.raw, O_WRONLY | O_CREAT | O_EXCL)
    } catch { if error.code != EEXIST { throw error } }
  }

  /// Removes a file; one that is not there is no error.
  public borrowing func remove(_ name: String) {
    _ = unsafe unlinkat(descriptor.raw, name, 0)
  }

  /// Removes a directory of this one, when it is empty.
  ///
  /// - Returns: whether it is gone
  @discardableResult
  public borrowing func removeDirectory(_ name: String) -> Bool {
    do throws(SystemError) {
      try check("rmdir \(path)/\(name)") { unsafe unlinkat(descriptor.raw, name, AT_REMOVEDIR) }
      return true
    } catch { return error.code == ENOENT }
  }
}

extension Directory {
  /// Where a symbolic link of the directory leads, `nil` when there is none of that name.
  public borrowing func target(of name: String) -> String? {
    Directory.target(of: name, in: descriptor.raw)
  }

  /// - Parameter name: empty for a descriptor of the link itself (readlink(2))
  static func target(of name: String, in descriptor: CInt) -> String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlinkat(descriptor, name, &buffer, buffer.count)
    if count < 0 { return nil }
    return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Puts a symbolic link into the directory, in one step and in place of an older one.
  public borrowing func link(_ name: String, to target: String) throws(SystemError) {
    let draft = name + ".new"
    remove(draft)
    try check("link \(path)/\(name)") { unsafe symlinkat(target, descriptor.raw, draft) }
    try rename(draft, to: name)
  }
}

extension FileDescriptor {
  /// The size of a regular file; anything else is not read.
  fileprivate func sizeOfRegular(_ path: String, _ isSole: Bool) throws(SystemError) -> Int {
    var kind = stat()
    try check("stat \(path)") { unsafe fstat(raw, &kind) }
    if kind.st_mode & S_IFMT != S_IFREG { throw SystemError("read \(path)", EINVAL) }
    // One that was replaced after it was opened has no name any more.
    if isSole && kind.st_nlink > 1 { throw SystemError("read \(path)", EMLINK) }
    return Int(kind.st_size)
  }

  /// What is left of a file.
  ///
  /// - Parameters:
  ///   - size: what it is thought to be; those of /proc say 0
  ///   - limit: bytes that are read at the most
  /// - Returns: the bytes up to its end or the limit
  public func content(expecting size: Int, atMost limit: Int) throws(SystemError) -> [UInt8] {
    // One more, so that the end of a small file is seen with the first read. A file may be said to be as
    // large as a number can be.
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
