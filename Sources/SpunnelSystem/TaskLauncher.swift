// Starts thousands of command lines and reports how they ended.

import CSystem
import Glibc

/// Starts command lines with `/bin/sh -c`. Each has its number in the environment.
@safe package final class TaskLauncher {
  private let environment: CStringVector
  private let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  /// The variables that differ between tasks. They come first in the environment.
  private let names: [String]
  /// Enough bytes for a 64-bit number and the NUL.
  private static let roomForNumber = 24

  /// Prepares the environment of all tasks.
  ///
  /// - Parameters:
  ///   - names: variables that hold a task's number
  ///   - inherited: `NAME=value` entries
  package init(numberedBy names: [String], environment inherited: [ByteString]) {
    let kept = inherited.filter { entry in !names.contains { entry.hasPrefix("\($0)=") } }
    let room = String(repeating: "0", count: TaskLauncher.roomForNumber)
    self.names = names
    environment = CStringVector(names.map { "\($0)=\(room)" } + kept)
    unsafe pointers = environment.pointers
  }

  /// Starts a command line as the leader of a process group. It dies with this process.
  ///
  /// - Parameters:
  ///   - command: NUL-terminated; one argument for the shell
  ///   - number: the value of the numbered variables
  ///   - input: becomes standard input; all three descriptors are borrowed
  /// - Returns: the process id; `FinishedTask.next` reports its end
  package func start(
    _ command: [UInt8], number: Int, input: CInt, output: CInt, error: CInt
  ) throws(SystemError) -> pid_t {
    for index in names.indices { setNumber(number, at: index) }
    let child: pid_t = unsafe command.withUnsafeBytes { bytes in
      guard let text = bytes.baseAddress, unsafe bytes.last == 0 else { return -EINVAL }
      var task = unsafe csystem_task(
        command: unsafe text.assumingMemoryBound(to: CChar.self), envp: pointers, input: input,
        output: output, error: error)
      return unsafe csystem_start_task(&task)
    }
    return try checkNegated("start /bin/sh", child)
  }

  private func setNumber(_ number: Int, at index: Int) {
    guard let entry = unsafe pointers[index] else { return }
    var place = names[index].utf8.count + 1
    for digit in String(number).utf8 {
      unsafe entry[place] = CChar(bitPattern: digit)
      place += 1
    }
    unsafe entry[place] = 0
  }
}

/// A child that has ended.
package struct FinishedTask: Sendable {
  package let process: pid_t
  /// The exit status; 0 if a signal ended it.
  package let exitStatus: Int
  /// The signal that ended it; 0 if it exited.
  package let signal: Int
  /// User and system time of the child and its own children, in milliseconds.
  package let processorMilliseconds: Int
  /// The largest resident set of any of these processes, in kilobytes.
  package let peakKilobytes: Int

  /// Reaps one child without waiting; `nil` if no child has ended.
  package static func next() -> FinishedTask? {
    var end = csystem_end()
    let process = unsafe csystem_reap(&end)
    guard process > 0 else { return nil }
    return FinishedTask(
      process: process, exitStatus: Int(end.exit_status), signal: Int(end.signal_number),
      processorMilliseconds: Int(end.processor_microseconds / 1000),
      peakKilobytes: Int(end.peak_kilobytes))
  }
}

extension FileDescriptor {
  /// Opens a file without a name in a directory.
  package static func temporary(in directory: String) throws(SystemError) -> FileDescriptor {
    FileDescriptor(
      owning: try checkNegated(
        "make a file in \(directory)", unsafe csystem_temporary_file(directory)))
  }

  /// Locks the file for writing while it is open, without waiting.
  ///
  /// - Returns: false if another process holds the lock; also true on a file system without locks
  package func lock() throws(SystemError) -> Bool {
    let code = -csystem_lock_file(raw)
    switch code {
    case EAGAIN, EACCES: return false
    case 0, ENOLCK, ENOSYS, EOPNOTSUPP: return true
    default: throw SystemError("lock", code)
    }
  }
}

extension Process {
  /// The number of processors that this process may use (sched_getaffinity(2)).
  package static var processorCount: Int { Int(csystem_processor_count()) }
}
