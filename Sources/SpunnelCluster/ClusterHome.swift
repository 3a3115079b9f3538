// Where a user's clusters lie, by the rules of the XDG base directory specification.

import Glibc
import SpunnelSystem

/// `$XDG_STATE_HOME/spunnel/clusters`, and the short links for folders whose paths are too long or
/// hold characters that no configuration file can.
public struct ClusterHome: Sendable {
  public let user: uid_t
  /// An absolute path; it need not exist.
  public let path: String

  /// The home of this process's user.
  public static func current() throws(ClusterError) -> ClusterHome {
    let user = geteuid()
    if let path = Process.environment("XDG_STATE_HOME"), path.hasPrefix("/") {
      return ClusterHome(user: user, path: path + "/spunnel/clusters")
    }
    guard let home = Process.environment("HOME"), home.hasPrefix("/") else {
      throw .malformed("HOME", Process.environment("HOME") ?? "", "an absolute path")
    }
    return ClusterHome(user: user, path: home + "/.local/state/spunnel/clusters")
  }

  /// The names of the user's clusters, up or not, in order.
  public func names() throws(ClusterError) -> [ClusterName] {
    let names: [String]
    do throws(SystemError) { names = try Directory.open(following: path).names() } catch {
      if error.code == ENOENT { return [] }
      throw .system(error)
    }
    return names.sorted().compactMap { try? ClusterName($0) }
  }

  /// The paths of a cluster, whether it exists or not.
  public func layout(_ name: ClusterName) -> Layout {
    let folder = path + "/" + name.description
    // On other hosts the folder lies in /tmp, and configuration files have one path for all hosts.
    let isFleet = unsafe access(folder + "/" + Fleet.fileName, F_OK) == 0
    if Layout.isPlain(folder), !isFleet { return Layout(name: name, folder: folder, root: folder) }
    let link = linkFolder + "/" + Layout.linkName(name, folder: folder)
    return Layout(name: name, folder: folder, root: link)
  }

  /// In /tmp, and not in `$XDG_RUNTIME_DIR`: that one goes at logout, while clusters stay up, and
  /// is not set in every session.
  private var linkFolder: String { "/tmp/spunnel-clusters-\(user)" }

  // MARK: Folders

  /// Opens a cluster's folder, checked; the short link to it is made again if it was cleaned away.
  ///
  /// - Returns: `nil` when there is none
  public func open(_ name: ClusterName) throws(ClusterError) -> Directory? {
    let layout = layout(name)
    guard let folder = try openFolder(layout) else { return nil }
    if let why = try working({ () throws(SystemError) in try folder.distrust(user: user) }) {
      throw .untrusted(path: layout.folder, why: why)
    }
    try checkParents()
    if layout.root != layout.folder { try makeLink(layout) }
    return folder
  }

  private func openFolder(_ layout: Layout) throws(ClusterError) -> Directory? {
    do throws(SystemError) { return try Directory.open(layout.folder) } catch {
      switch error.code {
      case ENOENT: return nil
      case ELOOP, ENOTDIR: throw .untrusted(path: layout.folder, why: "it is not a directory")
      case EACCES: throw .untrusted(path: layout.folder, why: "it cannot be opened")
      default: throw .system(error)
      }
    }
  }

  /// Opens a cluster's folder and makes it when it is not there.
  public func create(_ name: ClusterName) throws(ClusterError) -> Directory {
    try working { () throws(SystemError) in
      try Directory.createPath(path)
      try Directory.open(following: path).create(name.description)
    }
    guard let folder = try open(name) else { throw .noCluster(name) }
    return folder
  }

  /// Whoever can rename a folder on the way could put another in its place, with keys of his own.
  private func checkParents() throws(ClusterError) {
    let found = try working { () throws(SystemError) in
      try Directory.exposure(along: path, user: user)
    }
    if let found { throw .untrusted(path: found.path, why: found.why) }
  }

  private func makeLink(_ layout: Layout) throws(ClusterError) {
    let parent = try working { () throws(SystemError) in
      try Directory.createPath(linkFolder)
      return try Directory.open(linkFolder)
    }
    if let why = try working({ () throws(SystemError) in try parent.distrust(user: user) }) {
      throw .untrusted(path: linkFolder, why: why)
    }
    let name = Layout.linkName(layout.name, folder: layout.folder)
    if parent.target(of: name) == layout.folder { return }
    try working { () throws(SystemError) in try parent.link(name, to: layout.folder) }
  }
}
