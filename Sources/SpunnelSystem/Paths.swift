// Functions on a whole path, before any part of it is opened.

import Glibc

extension Directory {
  /// Makes a directory and its missing parents with mode 0700, like `mkdir -p`.
  public static func createPath(_ path: String) throws(SystemError) {
    do throws(SystemError) { try createUnlessThere(path) } catch {
      guard error.code == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex
      else { throw error }
      try createPath(String(path[..<slash]))
      // Another process may have made it in the meantime.
      try createUnlessThere(path)
    }
  }

  private static func createUnlessThere(_ path: String) throws(SystemError) {
    do throws(SystemError) {
      try check("mkdir \(path)") { unsafe mkdir(path, 0o700) }
    } catch { if error.code != EEXIST { throw error } }
  }
}

/// The path without symbolic links and dots (realpath(3)).
public func realPath(_ path: String) throws(SystemError) -> String {
  let found = unsafe try checkPointer("realpath \(path)") { unsafe realpath(path, nil) }
  defer { unsafe free(found) }
  return unsafe String(cString: found)
}
