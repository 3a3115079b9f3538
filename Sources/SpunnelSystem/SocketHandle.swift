// A unix socket in a directory, held by descriptor so that no other file can take its place.

import CSystem
import Glibc

/// A handle of the socket file itself, not of its name. Renaming, replacing or removing the name,
/// or a directory on its path, has no effect on the handle.
public struct SocketHandle: ~Copyable {
  private let file: FileDescriptor

  /// Opens a handle.
  ///
  /// - Parameters:
  ///   - name: of a socket in the directory; never a symbolic link
  ///   - directory: open and trusted
  public init(_ name: String, in directory: borrowing Directory) throws(SystemError) {
    file = try FileDescriptor.open(name, within: directory.descriptor.raw, csystem_o_path)
  }

  /// Connects without waiting.
  ///
  /// - Returns: a non-blocking socket
  /// - Throws: `EAGAIN` if the listener's queue is full, `ECONNREFUSED` if nothing listens
  public borrowing func connect() throws(SystemError) -> FileDescriptor {
    try Socket.connect(unix: "/proc/self/fd/\(file.raw)")
  }
}
