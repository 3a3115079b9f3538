// The unix socket beside a submit port. ssh from the user's own computer leads to it.
//
// After a tunnel ends, any user can bind its port, but `ssh -L` on the laptop still runs. A
// stranger who listens on that port would get the browser's next request. A path in the user's home
// stays the user's.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// The socket `~/.spunnel/<host>/<port>`, which exists as long as a tunnel holds the port.
public enum OwnSocket {
  /// The path of a port's existing socket.
  ///
  /// - Returns: `nil` when there is none, for example because the user's home is not on this host,
  ///   or other users can change its path
  static func existing(_ port: Port) -> String? {
    guard let place = Place(port), SocketFile.isOwn(place.path) else { return nil }
    return place.path
  }

  /// Binds the socket; `nil` when that fails. The tunnel works without it.
  static func bind(_ port: Port) -> SubmitSocket? {
    guard let place = Place(port), unsafe access(place.home, W_OK | X_OK) == 0 else { return nil }
    // Retries: a tunnel that ends removes the folders when they are empty.
    for _ in 0..<3 {
      do throws(SystemError) { try Directory.createPath(place.folder) } catch { return nil }
      if let socket = try? SubmitSocket.bind(path: place.path, emptying: place.folders) {
        return socket
      }
    }
    return nil
  }

  /// Removes a socket that a killed keeper left behind.
  static func removeLeftOver(_ port: Port) {
    guard let place = Place(port), SocketFile.isLeftOver(place.path) else { return }
    _ = unsafe unlink(place.path)
    for folder in place.folders { _ = unsafe rmdir(folder) }
  }

  private struct Place {
    let home: String
    let folder: String
    let path: String
    /// The folders to remove when they are empty, the inner one first.
    var folders: [String] { [folder, home + "/.spunnel"] }

    /// - Returns: `nil` when the user has no home, or ssh or a shell could misread the path
    init?(_ port: Port) {
      // The home of the account, not `HOME`: another login may have another `HOME`.
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
