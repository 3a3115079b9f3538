// Things an event loop can watch that are not sockets: signals and a directory's changes.

import CSystem
import Glibc

/// Signals as input: signalfd(2). They are blocked from then on, and reset in programs that are
/// started by `Program`.
public struct SignalWatch: ~Copyable {
  public let descriptor: FileDescriptor

  public init(_ signals: [CInt]) throws(SystemError) {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for signal in signals { unsafe sigaddset(&set, signal) }
    unsafe sigprocmask(SIG_BLOCK, &set, nil)
    descriptor = FileDescriptor(
      owning: try check("signalfd") { unsafe signalfd(-1, &set, CInt(SFD_CLOEXEC | SFD_NONBLOCK)) })
  }

  /// The signals that came since, in order.
  public borrowing func take() throws(SystemError) -> [CInt] {
    let size = MemoryLayout<signalfd_siginfo>.size
    guard let bytes = try descriptor.read(atMost: 16 * size) else { return [] }
    return stride(from: 0, to: bytes.count, by: size).map { start in
      unsafe bytes.withUnsafeBytes {
        unsafe CInt($0.loadUnaligned(fromByteOffset: start, as: UInt32.self))
      }
    }
  }
}

/// Names that come and go in directories: inotify(7).
public struct DirectoryWatch: ~Copyable {
  public let descriptor: FileDescriptor

  public init() throws(SystemError) {
    let flags = CInt(IN_CLOEXEC | IN_NONBLOCK)
    descriptor = FileDescriptor(
      owning: try check(
        "watch directories (limits: ulimit -n, sysctl fs.inotify.max_user_instances)"
      ) { inotify_init1(flags) })
  }

  /// - Parameter directory: watched through its descriptor, whatever its path leads to later
  public borrowing func add(_ directory: borrowing Directory) throws(SystemError) {
    let path = "/proc/self/fd/\(directory.descriptor.raw)"
    let events = UInt32(IN_CREATE | IN_MOVED_TO | IN_DELETE)
    try check("watch a directory (limit: sysctl fs.inotify.max_user_watches)") {
      unsafe inotify_add_watch(descriptor.raw, path, events)
    }
  }

  /// Forgets what was noted so far; the caller looks at the directories itself.
  public borrowing func clear() throws(SystemError) {
    while let events = try descriptor.read(atMost: 4096), !events.isEmpty {}
  }
}
