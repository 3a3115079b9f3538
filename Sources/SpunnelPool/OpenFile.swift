// An open descriptor that several objects share. It is closed with its last owner.

import Glibc
import SpunnelSystem

/// A shared owner of one descriptor.
final class OpenFile {
  let descriptor: FileDescriptor

  init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

  /// Duplicates a standard stream of this process.
  init(duplicating stream: CInt) throws(SystemError) {
    descriptor = FileDescriptor(
      owning: try check("fcntl") { fcntl(stream, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) })
  }

  var raw: CInt { descriptor.raw }
}
