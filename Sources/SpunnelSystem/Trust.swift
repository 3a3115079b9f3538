// Whether a directory is one's own: nobody else made it, and nobody else can change it.

import Glibc

extension Directory {
  /// Why the directory is not private to a user.
  ///
  /// - Returns: half a sentence, `nil` when it is his and its mode is 0700 at the most
  public borrowing func distrust(user: uid_t) throws(SystemError) -> String? {
    let found = try attributes()
    if found.st_uid != user { return "it belongs to uid \(found.st_uid)" }
    if found.st_mode & 0o077 == 0 { return nil }
    return "its mode is \(String(found.st_mode & 0o7777, radix: 8)) and not 700"
  }

  /// Why a directory could be moved away, or another put in its place.
  ///
  /// - Returns: half a sentence, `nil` when only the user and root can
  public borrowing func distrustAsParent(user: uid_t) throws(SystemError) -> String? {
    let found = try attributes()
    if found.st_uid != 0 && found.st_uid != user { return "it belongs to uid \(found.st_uid)" }
    // Without the sticky bit whoever may write here could move another's directory away.
    if found.st_mode & 0o022 == 0 || found.st_mode & S_ISVTX != 0 { return nil }
    return "others may write to it and it is not sticky"
  }
}

extension Directory {
  /// Which directory on the way to something lets others than a user put something else in its place:
  /// all are looked at, as sshd does with those of its keys (sshd_config(5), `StrictModes`).
  ///
  /// - Parameter path: of the directory that it lies in; links are followed
  /// - Returns: its path and half a sentence, `nil` when only the user and root can
  public static func distrustAlong(
    _ path: String, user: uid_t
  ) throws(SystemError) -> (path: String, why: String)? {
    var place = try realPath(path)
    while true {
      if let why = try reference(place).distrustAsParent(user: user) { return (place, why) }
      guard place != "/", let slash = place.lastIndex(of: "/") else { return nil }
      place = slash == place.startIndex ? "/" : String(place[..<slash])
    }
  }
}

// MARK: - Links

extension Directory {
  /// Where a symbolic link of the directory leads, `nil` when there is none of that name.
  public borrowing func target(of name: String) -> String? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlinkat(descriptor.raw, name, &buffer, buffer.count)
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

// MARK: - Paths

extension Directory {
  /// mkdir(1) `-p`, with mode 0700 for what is made.
  public static func createPath(_ path: String) throws(SystemError) {
    if unsafe mkdir(path, 0o700) == 0 || errno == EEXIST { return }
    let code = errno
    guard code == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
      throw SystemError("mkdir \(path)", code)
    }
    try createPath(String(path[..<slash]))
    do throws(SystemError) {
      try check("mkdir \(path)") { unsafe mkdir(path, 0o700) }
    } catch {
      // Another process made it between the two calls.
      if error.code != EEXIST { throw error }
    }
  }
}

/// realpath(3): the path without links and dots.
public func realPath(_ path: String) throws(SystemError) -> String {
  guard let found = unsafe realpath(path, nil) else { throw SystemError("realpath \(path)", errno) }
  defer { unsafe free(found) }
  return unsafe String(cString: found)
}
