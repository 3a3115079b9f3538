// A unix socket in a directory, held so that nothing else can take its place.

import CSystem
import Glibc

/// The socket file itself, not its name: renaming, replacing or removing the name, or a directory
/// on the way to it, changes nothing any more.
public struct SocketHandle: ~Copyable {
  private let file: FileDescriptor

  /// - Parameters:
  ///   - name: of a socket in the directory, never a link
  ///   - directory: open and trusted
  public init(_ name: String, in directory: borrowing Directory) throws(SystemError) {
    file = try FileDescriptor.open(name, within: directory.descriptor.raw, csystem_o_path)
  }

  /// Connects without waiting; the descriptor is non-blocking.
  public borrowing func connect() throws(SystemError) -> FileDescriptor {
    try Socket.connect(unix: "/proc/self/fd/\(file.raw)")
  }
}
