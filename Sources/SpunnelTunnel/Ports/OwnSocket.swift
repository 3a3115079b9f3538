// The unix socket of a submit port, where ssh from the user's own computer leads.
//
// A port is anybody's once its tunnel is over, but the line `ssh -L` on a laptop goes on: a stranger who listens
// there next gets the browser's next request. A path in the user's home stays the user's.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// `~/.spunnel/<host>/<port>`, beside a port for as long as a tunnel has it.
public enum OwnSocket {
  /// The path of a port's socket that is there.
  ///
  /// - Returns: `nil` where there is none: a host without the user's home, or one that others may change
  static func existing(_ port: Port) -> String? {
    guard let place = Place(port), SocketFile.isOwn(place.path) else { return nil }
    return place.path
  }

  /// Binds it. What stands in its way is no reason to have no tunnel.
  static func bind(_ port: Port) -> SubmitSocket? {
    guard let place = Place(port), unsafe access(place.home, W_OK | X_OK) == 0 else { return nil }
    // More than once: a tunnel that ends removes the folders when they are empty.
    for _ in 0..<3 {
      do throws(SystemError) { try Directory.createPath(place.folder) } catch { return nil }
      if let socket = try? SubmitSocket.bind(path: place.path, emptying: place.folders) {
        return socket
      }
    }
    return nil
  }

  /// Removes one that a keeper left which was killed.
  static func removeLeftOver(_ port: Port) {
    guard let place = Place(port), SocketFile.isLeftOver(place.path) else { return }
    _ = unsafe unlink(place.path)
    for folder in place.folders { _ = unsafe rmdir(folder) }
  }

  private struct Place {
    let home: String
    let folder: String
    let path: String
    /// Those that are removed when they are empty, the inner one first.
    var folders: [String] { [folder, home + "/.spunnel"] }

    /// - Returns: `nil` where the user has no home, or a path that ssh or a shell could take for something else
    init?(_ port: Port) {
      // The account's: the next login may have another HOME.
      guard let entry = unsafe getpwuid(getuid()), let text = unsafe entry.pointee.pw_dir else {
        return nil
      }
      home = unsafe String(cString: text)
      folder = "\(home)/.spunnel/\(Host.name)"
      path = "\(folder)/\(port)"
      guard home != "/", UnsafePath.allows(path), path.utf8.count <= 104 else { return nil }
    }
  }
}
