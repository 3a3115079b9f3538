// Further facts about this user's processes from /proc, and how children ended.

import CSystem
import Glibc

extension ProcessTable {
  /// The environment that a process was started with, byte for byte; empty if it cannot be read.
  package static func environment(of id: pid_t) -> [ByteString] {
    guard let file = try? FileDescriptor.open("/proc/\(id)/environ", O_RDONLY),
      let bytes = try? file.content(expecting: 0, atMost: 1 << 22)
    else { return [] }
    return bytes.split(separator: 0).map { ByteString(bytes: $0) }
  }
}

extension ProcessEntry {
  /// Milliseconds of processor time that the process itself has used (proc(5), utime and stime).
  package var processorTime: Int {
    guard let file = try? FileDescriptor.open("/proc/\(id)/stat", O_RDONLY),
      let bytes = try? file.read(atMost: 1024)
    else { return 0 }
    let fields = ProcessTable.fields(stat: bytes)
    guard fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]) else {
      return 0
    }
    return (user + system) * 1000 / max(1, sysconf(CInt(_SC_CLK_TCK)))
  }
}

extension Process {
  /// The exit status from a wait(2) status, or 128 + the signal that ended the process.
  package static func exitCode(_ waitStatus: CInt) -> CInt { csystem_exit_code(waitStatus) }

  /// Unblocks all signals, for a child that becomes another program.
  package static func unblockSignals() {
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe sigprocmask(SIG_SETMASK, &none, nil)
  }
}
