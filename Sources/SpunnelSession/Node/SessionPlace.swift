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
    path = try SessionPlace.make()
    workingDirectory = SessionPlace.currentDirectory()
    environment = SessionEnvironment.inside(inherited, kind: kind, runtimeDirectory: path)
  }

  /// The directory of a session that is there, for tests.
  package init(path: String, environment: [ByteString], workingDirectory: String) {
    self.path = path
    self.environment = environment
    self.workingDirectory = workingDirectory
  }

  private static func make() throws(SessionFailure) -> String {
    var reason = "no directory"
    for parent in parents {
      var template = Array("\(parent)/\(prefix)XXXXXX".utf8CString)
      let made = unsafe template.withUnsafeMutableBufferPointer { buffer in
        guard let start = buffer.baseAddress else { return false }
        return unsafe mkdtemp(start) != nil
      }
      let code = errno
      let path = String(
        decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if made { return path }
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
      guard let names = try? Directory.open(parent).names() else { continue }
      for name in names where name.hasPrefix(prefix) {
        let path = parent + "/" + name
        guard !living.contains(path), let owner = try? Directory.open(path).attributes().st_uid,
          owner == getuid()
        else { continue }
        removeTree(path)
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
