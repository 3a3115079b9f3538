// Where a session lives on the node: a directory of mode 0700 under a random name, and the environment.

import CSystem
import Glibc
import SpunnelSystem

/// The runtime directory of one session, made by its holder and removed with it.
///
/// The name has six random characters (mkdtemp(3)), so that nobody can take it in advance. An attach does
/// not guess it: the holder works in the directory, and /proc shows where (`HolderSearch`).
package final class SessionPlace {
  /// Absolute path.
  package let path: String
  /// The session's environment, `NAME=value` entries.
  package let environment: [ByteString]
  /// Where the user submitted the job: the working directory of what the session runs.
  package let workingDirectory: String
  /// Whether the session stays when its program has ended.
  package var keeps = false
  /// The directory, locked for as long as the holder lives: another holder of the user's leaves it alone.
  private let held: Directory?

  /// Directories that may take it, the first that does wins: /tmp may be full.
  private static let parents = ["/tmp", "/dev/shm", "/var/tmp"]
  private static let prefix = "spunnel-session-"
  /// A unix socket's path has 107 bytes at most (unix(7)), and the kinds' sockets need some of them.
  private static let longestPath = 60

  /// - Parameters:
  ///   - kind: the session's kind
  ///   - inherited: the batch step's environment
  package init(
    _ kind: any SessionKind.Type, inherited: [ByteString]
  ) throws(SessionFailure) {
    let made = try SessionPlace.make()
    path = made.path
    held = consume made
    workingDirectory = SessionPlace.currentDirectory()
    environment = SessionEnvironment.inside(inherited, kind: kind, runtimeDirectory: path)
  }

  /// The directory of a session that is there, for tests.
  package init(path: String, environment: [ByteString], workingDirectory: String) {
    self.path = path
    held = nil
    self.environment = environment
    self.workingDirectory = workingDirectory
  }

  private static func make() throws(SessionFailure) -> Directory {
    var reason = "no directory"
    // Each twice: another holder may sweep a directory before it is locked.
    for parent in parents + parents {
      var template = Array("\(parent)/\(prefix)XXXXXX".utf8CString)
      let made = unsafe template.withUnsafeMutableBufferPointer { buffer in
        guard let start = buffer.baseAddress else { return false }
        return unsafe mkdtemp(start) != nil
      }
      let code = errno
      let path = String(
        decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if made {
        if let own = try? Directory.open(path), (try? own.lock(waiting: false)) == true,
          (try? own.attributes().st_nlink) ?? 0 > 0
        {
          return own
        }
        reason = "\(path) was removed"
        continue
      }
      reason = "\(SystemError("make a directory in \(parent)", code))"
    }
    throw .noPlace(reason)
  }

  private static func currentDirectory() -> String {
    guard let path = unsafe getcwd(nil, 0) else { return "/" }
    defer { unsafe free(path) }
    return unsafe String(cString: path)
  }

  /// A program of the session, found on the session's own PATH.
  ///
  /// - Parameter package: what an administrator installs when it is missing
  package func program(
    _ name: String, _ arguments: [ByteString], package: String
  ) throws(SessionFailure) -> Program {
    let path = environment.first { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? "/usr/bin:/bin"
    guard let found = Program.find(ByteString(name), searchPath: path) else {
      throw .missing(program: name, package: package)
    }
    return Program(
      path: found, arguments: [ByteString(name)] + arguments, environment: environment,
      descriptors: [])
  }

  /// Removes the directory with all that is in it.
  package func remove() { SessionPlace.removeTree(path) }

  /// Removes directories of this user's that a killed holder has left, here and now.
  package static func sweep(except living: Set<String>) {
    for parent in parents {
      guard let base = try? Directory.open(parent),
        let names = try? base.names(as: { $0.hasPrefix(prefix) ? $0 : nil })
      else { continue }
      // Opened within its parent: another user's file system is not entered.
      for name in names where !living.contains(parent + "/" + name) {
        guard let found = try? base.open(name), (try? found.attributes().st_uid) == getuid(),
          (try? found.lock(waiting: false)) == true
        else { continue }
        try? empty(found)
        base.removeDirectory(name)
      }
    }
  }

  /// Removes a directory and what is below it; links are removed, never followed.
  private static func removeTree(_ path: String) {
    do throws(SystemError) { try empty(try Directory.open(path)) } catch {}
    _ = unsafe rmdir(path)
  }

  private static func empty(_ directory: borrowing Directory) throws(SystemError) {
    for name in try directory.names() {
      directory.remove(name)
      guard directory.contains(name) else { continue }
      do throws(SystemError) { try empty(try directory.open(name)) } catch {}
      directory.removeDirectory(name)
    }
  }
}
