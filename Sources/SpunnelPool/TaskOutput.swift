// Where tasks write: files that the user named, or unnamed files whose content the coordinator
// prints when the task ends.

import Glibc
import SpunnelSystem

/// The output files of an agent's tasks.
final class TaskOutput {
  /// The output files of one task.
  struct Target {
    fileprivate let outputFile: OpenFile
    fileprivate let errorFile: OpenFile
    /// Whether the coordinator prints the output.
    fileprivate let isSpooled: Bool

    var output: CInt { outputFile.raw }
    var error: CInt { errorFile.raw }
  }

  private let options: AgentOptions
  private let node: String
  /// Empty unnamed files, ready for the next tasks.
  private var spools: [OpenFile] = []
  /// Files to which all tasks append, by path.
  private var shared: [[UInt8]: OpenFile] = [:]

  init(_ options: AgentOptions, node: String) {
    self.options = options
    self.node = node
  }

  /// Opens the output files of a task.
  func open(_ task: Int) throws(SystemError) -> Target {
    let error = try options.error.map { name throws(SystemError) in try file(name, task) }
    let output = try options.output.map { name throws(SystemError) in try file(name, task) }
    let first = if let output { output } else { try spool() }
    return Target(outputFile: first, errorFile: error ?? first, isSpooled: output == nil)
  }

  /// Passes a task's output to the coordinator.
  ///
  /// - Parameter take: is called with each piece of the output
  /// - Returns: the number of bytes
  func close(_ target: Target, _ take: ([UInt8]) -> Void) throws(SystemError) -> Int {
    guard target.isSpooled else { return 0 }
    let file = target.outputFile
    let size = try file.descriptor.size()
    if size == 0 {
      spools.append(file)
      return 0
    }
    // The file is not reused: a process that the task left behind may still write to it.
    var sent = 0
    while sent < size {
      let piece = try file.descriptor.read(at: sent, atMost: min(1 << 16, size - sent))
      if piece.isEmpty { break }
      take(piece)
      sent += piece.count
    }
    return sent
  }

  private func spool() throws(SystemError) -> OpenFile {
    if let spool = spools.popLast() { return spool }
    let folders = [Process.environment("TMPDIR"), "/tmp", "/dev/shm"].compactMap { $0 }
    for folder in folders.dropLast() {
      do throws(SystemError) { return OpenFile(try FileDescriptor.temporary(in: folder)) } catch {}
    }
    return OpenFile(try FileDescriptor.temporary(in: "/dev/shm"))
  }

  /// Opens a file that the user named. A task's own file is emptied at each attempt. A shared file
  /// is appended to.
  private func file(_ name: OutputName, _ task: Int) throws(SystemError) -> OpenFile {
    let path = name.path(task: task, job: options.job, node: node)
    if let open = shared[path] { return open }
    let flags = O_WRONLY | O_CREAT | (name.isApart ? O_TRUNC : O_APPEND)
    let file: OpenFile
    do throws(SystemError) {
      file = OpenFile(try FileDescriptor.open(path: path, flags, mode: 0o666))
    } catch {
      guard error.code == ENOENT, let slash = path.lastIndex(of: UInt8(ascii: "/")) else {
        throw error
      }
      try TaskOutput.makeFolders(path[..<slash])
      file = OpenFile(try FileDescriptor.open(path: path, flags, mode: 0o666))
    }
    if !name.isApart { shared[path] = file }
    return file
  }

  /// Makes folders like mkdir(1) `-p`; the umask decides their modes.
  private static func makeFolders(_ path: ArraySlice<UInt8>) throws(SystemError) {
    var end = path.startIndex
    while end < path.endIndex {
      let slash = path[(end + 1)...].firstIndex(of: UInt8(ascii: "/")) ?? path.endIndex
      let folder = String(decoding: path[..<slash], as: UTF8.self)
      do throws(SystemError) {
        try check("mkdir \(folder)") { unsafe mkdir(folder, 0o777) }
      } catch { if error.code != EEXIST { throw error } }
      end = slash
    }
  }
}

extension FileDescriptor {
  fileprivate static func open(
    path: [UInt8], _ flags: CInt, mode: mode_t
  ) throws(SystemError) -> FileDescriptor {
    try open(String(decoding: path, as: UTF8.self), flags, mode: mode)
  }
}
