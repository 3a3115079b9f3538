// Whether a directory is one's own: nobody else made it, and nobody else can change it.

import CSystem
import Glibc

extension Directory {
  /// Why the directory is not private to a user.
  ///
  /// - Returns: half a sentence, `nil` when it is his and its mode is 0700 at the most
  public borrowing func distrust(user: uid_t) throws(SystemError) -> String? {
    let found = try attributes()
    if found.st_uid != user || UserNamespace.isUnknown(user) {
      return UserNamespace.belonging(to: found.st_uid)
    }
    if found.st_mode & 0o077 == 0 { return nil }
    return "its mode is \(String(found.st_mode & 0o7777, radix: 8)) and not 700"
  }

  /// Why a directory could be moved away, or another put in its place.
  ///
  /// - Returns: half a sentence, `nil` when only the user and root can
  public borrowing func distrustAsParent(user: uid_t) throws(SystemError) -> String? {
    let found = try attributes()
    if found.st_uid != 0 && (found.st_uid != user || UserNamespace.isUnknown(user)) {
      return UserNamespace.belonging(to: found.st_uid)
    }
    // Without the sticky bit whoever may write here could move another's directory away.
    if found.st_mode & 0o022 == 0 || found.st_mode & S_ISVTX != 0 { return nil }
    return "others may write to it and it is not sticky"
  }
}

/// Where others than a user could put something else on the way to something of his.
public struct Exposure: Equatable, Sendable {
  /// Of a directory, or of a link in one.
  public let path: String
  /// Half a sentence.
  public let why: String
}

extension Directory {
  /// As many as the kernel follows (path_resolution(7)).
  private static let mostLinks = 40

  /// What on the way to something lets others than a user put something else in its place: all is looked
  /// at, as sshd does with the directories of its keys (sshd_config(5), `StrictModes`). The way is gone as
  /// the kernel goes it, link by link: who can replace a link decides where the path leads the next time.
  /// When nothing is found, nobody else can change the way afterwards, and the path as it was given is
  /// safe to use.
  ///
  /// - Parameter path: of the directory that it lies in, absolute
  /// - Returns: what comes first on the way, `nil` when only the user and root can
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

  /// The first one last.
  private static func names(in path: String) -> [String] {
    path.split(separator: "/").filter { $0 != "." }.map(String.init).reversed()
  }

  /// A symbolic link as it was found.
  private struct Link {
    let owner: uid_t
    let target: String
  }

  /// - Throws: `ENOTDIR` for what is neither a directory nor a link
  private borrowing func link(_ name: String) throws(SystemError) -> Link {
    let link = try FileDescriptor.open(name, within: descriptor.raw, csystem_o_path)
    var found = stat()
    try check("stat \(name)") { unsafe fstat(link.raw, &found) }
    guard let target = Directory.target(of: "", in: link.raw) else {
      throw SystemError("open \(name)", ENOTDIR)
    }
    return Link(owner: found.st_uid, target: target)
  }

  /// Why a link of this directory, which is trusted itself, could be replaced.
  private borrowing func distrust(_ link: Link, user: uid_t) throws(SystemError) -> String? {
    if link.owner == 0 || (link.owner == user && !UserNamespace.isUnknown(user)) { return nil }
    // Where others may write, its owner may put another in its place.
    return try attributes().st_mode & 0o022 == 0 ? nil : "it is a link of uid \(link.owner)"
  }
}
