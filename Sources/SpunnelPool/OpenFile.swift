// An open descriptor that several objects may hold; it is closed when the last of them goes.

import Glibc
import SpunnelSystem

/// A shared owner of one descriptor.
final class OpenFile {
  let descriptor: FileDescriptor

  init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

  /// A second descriptor of a stream that this process was given.
  init(duplicating stream: CInt) throws(SystemError) {
    descriptor = FileDescriptor(
      owning: try check("fcntl") { fcntl(stream, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) })
  }

  var raw: CInt { descriptor.raw }
}
