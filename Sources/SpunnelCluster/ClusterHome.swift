// Where a user's clusters are (XDG Base Directory Specification).

import Glibc
import SpunnelSystem

/// The folder of all clusters, `$XDG_STATE_HOME/spunnel/clusters`.
///
/// A short link stands for a cluster's folder if its path is too long, or has characters that a
/// configuration file cannot hold.
public struct ClusterHome: Sendable {
  public let user: uid_t
  /// The absolute path of the folder. The folder need not exist.
  public let path: String

  /// The folder of the user who runs this process.
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

  /// The names of the user's clusters, up or down, sorted.
  public func names() throws(ClusterError) -> [ClusterName] {
    let names: [String]
    do throws(SystemError) { names = try Directory.open(following: path).names() } catch {
      if error.code == ENOENT { return [] }
      throw .system(error)
    }
    return names.sorted().compactMap { try? ClusterName($0) }
  }

  /// The paths of a cluster, which need not exist.
  public func layout(_ name: ClusterName) -> Layout {
    let folder = path + "/" + name.description
    // A cluster over several hosts needs one path for all hosts in its configuration. On the other
    // hosts the folder is in /tmp.
    let isFleet = unsafe access(folder + "/" + Fleet.fileName, F_OK) == 0
    if Layout.isPlain(folder), !isFleet { return Layout(name: name, folder: folder, root: folder) }
    let link = linkFolder + "/" + Layout.linkName(name, folder: folder)
    return Layout(name: name, folder: folder, root: link)
  }

  /// The folder of the links. `$XDG_RUNTIME_DIR` does not serve: it is removed at logout while
  /// clusters stay up, and not every session sets it.
  private var linkFolder: String { "/tmp/spunnel-clusters-\(user)" }

  // MARK: Folders

  /// Opens a cluster's folder, and checks who can change it. Makes the short link again if it is
  /// missing.
  ///
  /// - Returns: `nil` when the cluster does not exist
  /// - Throws: `untrusted` when another user can change the folder or its path
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

  /// Opens a cluster's folder, and makes it if it does not exist.
  public func create(_ name: ClusterName) throws(ClusterError) -> Directory {
    try working { () throws(SystemError) in
      try Directory.createPath(path)
      try Directory.open(following: path).create(name.description)
    }
    guard let folder = try open(name) else { throw .noCluster(name) }
    return folder
  }

  /// Checks the path of the folder. A user who can rename a directory on it could substitute a
  /// folder with other keys.
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
