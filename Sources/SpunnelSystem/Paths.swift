// What is done with a path as a whole, before anything on it is opened.

import Glibc

extension Directory {
  /// mkdir(1) `-p`, with mode 0700 for what is made.
  public static func createPath(_ path: String) throws(SystemError) {
    do throws(SystemError) { try createUnlessThere(path) } catch {
      guard error.code == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex
      else { throw error }
      try createPath(String(path[..<slash]))
      // Another process may have made it since.
      try createUnlessThere(path)
    }
  }

  private static func createUnlessThere(_ path: String) throws(SystemError) {
    do throws(SystemError) {
      try check("mkdir \(path)") { unsafe mkdir(path, 0o700) }
    } catch { if error.code != EEXIST { throw error } }
  }
}

/// realpath(3): the path without links and dots.
public func realPath(_ path: String) throws(SystemError) -> String {
  let found = unsafe try checkPointer("realpath \(path)") { unsafe realpath(path, nil) }
  defer { unsafe free(found) }
  return unsafe String(cString: found)
}
