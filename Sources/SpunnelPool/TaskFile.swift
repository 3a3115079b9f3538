// The list of command lines. Only the beginning of each line is kept, and the line is read when it
// is needed: a million lines take eight megabytes.

import Glibc
import SpunnelSystem

/// Why a list of command lines cannot be used.
package enum TaskFileError: Error, Equatable, CustomStringConvertible {
  case unreadable(String, SystemError)
  case changed(String)
  case nullByte(String, line: Int)
  case tooLong(String, line: Int, bytes: Int)
  case empty(String)

  package var description: String {
    switch self {
    case .unreadable(let path, let error): "read \(path): \(error.reason)"
    case .changed(let path):
      "read \(path): the file has changed since the pool began: start the pool again with --resume"
    case .nullByte(let path, let line):
      "read \(path): line \(line) has a NUL byte, which no command line can hold: "
        + "add -0 if NUL bytes separate the tasks"
    case .tooLong(let path, let line, let bytes):
      "read \(path): line \(line) has \(bytes) bytes, and Linux passes at most \(TaskFile.longest) "
        + "in one argument: put the command into a script, and name the script in the line"
    case .empty(let path): "read \(path): the file has no task"
    }
  }
}

/// An open list of command lines. Blank lines and lines that begin with `#` are not tasks.
package final class TaskFile {
  /// The longest argument that execve(2) takes, in bytes: MAX_ARG_STRLEN without the NUL.
  package static let longest = 131_071
  private static let blockSize = 1 << 17

  private let file: OpenFile
  private let path: String
  private let isNullSeparated: Bool
  private let identity: (size: Int64, changed: timespec)
  /// The offset of each line, and one more after the last line's separator.
  private var starts: [Int] = []
  /// Whether each line is a task.
  private var isTask: [Bool] = []
  private var blocks = [Block(), Block()]
  package private(set) var taskCount = 0

  /// The number of lines, tasks and others.
  package var lineCount: Int { isTask.count }

  /// Opens and indexes a list.
  ///
  /// - Parameters:
  ///   - path: the path of the list; `-` for standard input, which is copied to a file
  ///   - isNullSeparated: whether a NUL ends a command, which may then contain newlines
  /// - Throws: a list that cannot be read, has no task, or has a line that no process can get
  package init(_ path: String, isNullSeparated: Bool) throws(TaskFileError) {
    self.path = path
    self.isNullSeparated = isNullSeparated
    do throws(SystemError) {
      file = try TaskFile.open(path)
      identity = try TaskFile.identity(of: file.raw)
    } catch { throw .unreadable(path, error) }
    try index()
    if taskCount == 0 { throw .empty(path) }
  }

  /// Whether a line is a task.
  ///
  /// - Parameter line: the number of the line, from 1
  package func isTask(_ line: Int) -> Bool {
    line >= 1 && line <= isTask.count && isTask[line - 1]
  }

  /// The purpose of a read. Handing out is ahead of logging, so each has a block of its own.
  package enum Use: Int { case handOut, log }

  private struct Block {
    var bytes: [UInt8] = []
    var start = 0
  }

  /// The command of a line, without its line end.
  ///
  /// - Parameters:
  ///   - line: the number of the line, from 1
  ///   - use: the purpose of the read
  /// - Throws: `changed` when the file has changed since it was opened
  package func command(_ line: Int, for use: Use) throws(TaskFileError) -> ArraySlice<UInt8> {
    let (start, end) = (starts[line - 1], starts[line] - 1)
    let block = blocks[use.rawValue]
    if start < block.start || end > block.start + block.bytes.count { try load(use, start, end) }
    let base = blocks[use.rawValue].start
    let text = blocks[use.rawValue].bytes[start - base..<end - base]
    return isNullSeparated || text.last != UInt8(ascii: "\r") ? text : text.dropLast()
  }

  private func load(_ use: Use, _ start: Int, _ end: Int) throws(TaskFileError) {
    do throws(SystemError) {
      let now = try TaskFile.identity(of: file.raw)
      guard now.size == identity.size, now.changed.tv_sec == identity.changed.tv_sec,
        now.changed.tv_nsec == identity.changed.tv_nsec
      else { throw SystemError("", ESTALE) }
      let bytes = try file.descriptor.read(at: start, atMost: max(TaskFile.blockSize, end - start))
      guard bytes.count >= end - start else { throw SystemError("", ESTALE) }
      blocks[use.rawValue] = Block(bytes: bytes, start: start)
    } catch { throw error.code == ESTALE ? .changed(path) : .unreadable(path, error) }
  }

  private func index() throws(TaskFileError) {
    var line = LineScan()
    var offset = 0
    let separator: UInt8 = isNullSeparated ? 0 : UInt8(ascii: "\n")
    starts = [0]
    while true {
      let bytes: [UInt8]
      do throws(SystemError) {
        bytes = try file.descriptor.read(at: offset, atMost: TaskFile.blockSize)
      } catch { throw .unreadable(path, error) }
      if bytes.isEmpty { break }
      for (index, byte) in bytes.enumerated() {
        if byte != separator {
          line.take(byte)
        } else {
          try end(&line, at: offset + index)
        }
      }
      offset += bytes.count
    }
    if line.count > 0 { try end(&line, at: offset) }
  }

  private func end(_ line: inout LineScan, at offset: Int) throws(TaskFileError) {
    starts.append(offset + 1)
    let isTask = line.isTask
    self.isTask.append(isTask)
    if isTask {
      taskCount += 1
      if line.hasNull { throw .nullByte(path, line: self.isTask.count) }
      if line.count > TaskFile.longest {
        throw .tooLong(path, line: self.isTask.count, bytes: line.count)
      }
    }
    line = LineScan()
  }

  private static func open(_ path: String) throws(SystemError) -> OpenFile {
    let source =
      try path == "-"
      ? OpenFile(duplicating: STDIN_FILENO) : OpenFile(FileDescriptor.open(path, O_RDONLY))
    var status = stat()
    try check("stat") { unsafe fstat(source.raw, &status) }
    if status.st_mode & S_IFMT == S_IFREG, path != "-" { return source }
    // Each line is read twice, but a pipe can be read only once.
    let folder = Process.environment("TMPDIR") ?? "/tmp"
    let copy = OpenFile(try FileDescriptor.temporary(in: folder))
    while let bytes = try source.descriptor.read(atMost: blockSize), !bytes.isEmpty {
      try copy.descriptor.writeAll(bytes)
    }
    return copy
  }

  private static func identity(
    of file: CInt
  ) throws(SystemError) -> (size: Int64, changed: timespec) {
    var status = stat()
    try check("stat") { unsafe fstat(file, &status) }
    return (Int64(status.st_size), status.st_mtim)
  }
}

/// Facts about a line, collected byte by byte.
private struct LineScan {
  var count = 0
  var hasNull = false
  private var first: UInt8 = 0

  var isTask: Bool { first != 0 && first != UInt8(ascii: "#") || hasNull }

  mutating func take(_ byte: UInt8) {
    count += 1
    if byte == 0 { hasNull = true }
    if first == 0, byte != UInt8(ascii: " "), byte != UInt8(ascii: "\t"), byte != UInt8(ascii: "\r")
    {
      first = byte
    }
  }
}

extension FileDescriptor {
  /// Reads at an offset by pread(2). Only the end of the file gives fewer bytes.
  func read(at offset: Int, atMost limit: Int) throws(SystemError) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: limit)
    var filled = 0
    while filled < limit {
      let count = try check("read") {
        unsafe buffer.withUnsafeMutableBytes {
          unsafe pread(
            raw, $0.baseAddress.map { unsafe $0 + filled }, limit - filled, off_t(offset + filled))
        }
      }
      if count == 0 { break }
      filled += count
    }
    buffer.removeLast(limit - filled)
    return buffer
  }
}
