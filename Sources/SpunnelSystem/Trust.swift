// Whether a directory belongs to a user: no other user made it, and no other user can change it.

import CSystem
import Glibc

extension Directory {
  /// Why the directory is not private to a user.
  ///
  /// - Returns: half a sentence; `nil` if the user owns it and its mode is at most 0700
  public borrowing func distrust(user: uid_t) throws(SystemError) -> String? {
    let found = try attributes()
    if found.st_uid != user || UserNamespace.isUnknown(user) {
      return UserNamespace.belonging(to: found.st_uid)
    }
    if found.st_mode & 0o077 == 0 { return nil }
    return "its mode is \(String(found.st_mode & 0o7777, radix: 8)) and not 700"
  }

  /// Why a directory in this one could be moved away or replaced by other users.
  ///
  /// - Returns: half a sentence; `nil` if only the user and root can do that
  public borrowing func distrustAsParent(user: uid_t) throws(SystemError) -> String? {
    let found = try attributes()
    if found.st_uid != 0 && (found.st_uid != user || UserNamespace.isUnknown(user)) {
      return UserNamespace.belonging(to: found.st_uid)
    }
    // Without the sticky bit, a user who may write here could move another user's directory away.
    if found.st_mode & 0o022 == 0 || found.st_mode & S_ISVTX != 0 { return nil }
    return "others may write to it and it is not sticky"
  }
}

/// A place on a path where other users could put something else.
public struct Exposure: Equatable, Sendable {
  /// The path of a directory, or of a symbolic link in one.
  public let path: String
  /// Half a sentence that says why.
  public let why: String
}

extension Directory {
  /// The most symbolic links that the kernel follows (path_resolution(7)).
  private static let mostLinks = 40

  /// Finds the first place on a path where other users could put something else. It checks every
  /// directory, as sshd does for the directories of its keys (sshd_config(5), `StrictModes`). It
  /// follows the path link by link, as the kernel does: a user who can replace a link decides where
  /// the path leads the next time. If no place is found, no other user can change the path later,
  /// and the path is safe to use.
  ///
  /// - Parameters:
  ///   - path: absolute; the directory in which the file or directory in question lies
  ///   - user: the user whom it belongs to
  /// - Returns: the first such place; `nil` if only the user and root can change the path
  public static func exposure(
    along path: String, user: uid_t
  ) throws(SystemError) -> Exposure? {
    do throws(SystemError) {
      var place = try reference("/")
      var ahead = names(in: path)
      var links = 0
      while true {
        if let why = try place.distrustAsParent(user: user) {
          return Exposure(path: place.path, why: why)
        }
        guard let name = ahead.popLast() else { return nil }
        do throws(SystemError) { place = try place.reference(name) } catch {
          if error.code == EXDEV {
            switch try place.enter(name, user: user) {
            case .refused(let why): return Exposure(path: place.path(of: name), why: why)
            case .entered(let next): place = next
            }
            continue
          }
          guard error.code == ENOTDIR else { throw error }
          let link = try place.link(name)
          if let why = try place.distrust(link, user: user) {
            return Exposure(path: place.path(of: name), why: why)
          }
          links += 1
          if links > mostLinks { throw SystemError("open", ELOOP) }
          ahead += names(in: link.target)
          if link.target.hasPrefix("/") { place = try reference("/") }
        }
      }
    } catch { throw SystemError("open \(path)", error.code) }
  }

  /// The names of a path in reverse order.
  private static func names(in path: String) -> [String] {
    path.split(separator: "/").filter { $0 != "." }.map(String.init).reversed()
  }

  /// A symbolic link as it was found.
  private struct Link {
    let owner: uid_t
    let target: String
  }

  /// Reads a symbolic link.
  ///
  /// - Throws: `ENOTDIR` if the name is neither a directory nor a link
  private borrowing func link(_ name: String) throws(SystemError) -> Link {
    let link = try FileDescriptor.open(name, within: descriptor.raw, csystem_o_path)
    var found = stat()
    try check("stat \(name)") { unsafe fstat(link.raw, &found) }
    guard let target = Directory.target(of: "", in: link.raw) else {
      throw SystemError("open \(name)", ENOTDIR)
    }
    return Link(owner: found.st_uid, target: target)
  }

  /// Why a link in this directory could be replaced. The directory itself is trusted already.
  private borrowing func distrust(_ link: Link, user: uid_t) throws(SystemError) -> String? {
    if link.owner == 0 || (link.owner == user && !UserNamespace.isUnknown(user)) { return nil }
    // If others may write to the directory, the link's owner may replace the link.
    return try attributes().st_mode & 0o022 == 0 ? nil : "it is a link of uid \(link.owner)"
  }
}
