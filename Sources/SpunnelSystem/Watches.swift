// Event sources that are not sockets: signals and changes of directories.

import CSystem
import Glibc

/// Signals as input (signalfd(2)). The signals are blocked from then on. `Program` resets them in
/// the programs that it starts.
public struct SignalWatch: ~Copyable {
  public let descriptor: FileDescriptor

  /// Blocks the signals and opens their descriptor (non-blocking).
  public init(_ signals: [CInt]) throws(SystemError) {
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for signal in signals { unsafe sigaddset(&set, signal) }
    unsafe sigprocmask(SIG_BLOCK, &set, nil)
    descriptor = FileDescriptor(
      owning: try check("signalfd") { unsafe signalfd(-1, &set, CInt(SFD_CLOEXEC | SFD_NONBLOCK)) })
  }

  /// The signals that have arrived since the last call, in order.
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

/// Names that appear in and disappear from directories (inotify(7)).
public struct DirectoryWatch: ~Copyable {
  public let descriptor: FileDescriptor

  /// Opens an inotify instance (non-blocking) that watches nothing yet.
  public init() throws(SystemError) {
    let flags = CInt(IN_CLOEXEC | IN_NONBLOCK)
    descriptor = FileDescriptor(
      owning: try check(
        "watch directories (limits: ulimit -n, sysctl fs.inotify.max_user_instances)"
      ) { inotify_init1(flags) })
  }

  /// Watches a directory.
  ///
  /// - Parameter directory: watched through its descriptor, even if its path leads elsewhere later
  public borrowing func add(_ directory: borrowing Directory) throws(SystemError) {
    let path = "/proc/self/fd/\(directory.descriptor.raw)"
    let events = UInt32(IN_CREATE | IN_MOVED_TO | IN_DELETE)
    try check("watch a directory (limit: sysctl fs.inotify.max_user_watches)") {
      unsafe inotify_add_watch(descriptor.raw, path, events)
    }
  }

  /// Discards the events so far. The caller looks at the directories itself.
  public borrowing func clear() throws(SystemError) {
    while let events = try descriptor.read(atMost: 4096), !events.isEmpty {}
  }
}
