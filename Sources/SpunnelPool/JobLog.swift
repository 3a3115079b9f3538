// The log of a pool: a line for each task that ended, written at once and read by `--resume`.

import Glibc
import SpunnelSystem

/// Why a log cannot be used.
package enum JobLogError: Error, Equatable, CustomStringConvertible {
  case unusable(String, SystemError)
  case exists(String)
  case inUse(String)

  package var description: String {
    switch self {
    case .unusable(let path, let error): "write \(path): \(error.reason)"
    case .exists(let path):
      "write \(path): the log of an earlier run is there: add --resume to go on behind it, "
        + "or name another file with --log"
    case .inUse(let path):
      "write \(path): another pool is writing this log: wait for its end, or name another file with --log"
    }
  }
}

/// An open log. Each record is one write(2). If the disk is full, records wait in memory.
package final class JobLog {
  private let file: FileDescriptor
  private let path: String
  /// Bytes that are not written yet. The first ones may be the rest of a torn line.
  private var waiting: [UInt8] = []
  /// Why the last write failed; `nil` while everything is written.
  package private(set) var failure: SystemError?

  /// Opens a log, and locks it against other pools.
  ///
  /// - Parameters:
  ///   - path: the path of the log, which is made if it does not exist
  ///   - resumes: whether an existing log is continued
  /// - Throws: `exists` for a log of an earlier run, `inUse` when another pool writes it
  package init(_ path: String, resumes: Bool) throws(JobLogError) {
    self.path = path
    let size: Int
    do throws(SystemError) {
      file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_APPEND, mode: 0o666)
      guard try file.lock() else { throw SystemError("", EBUSY) }
      size = try file.size()
    } catch { throw error.code == EBUSY ? .inUse(path) : .unusable(path, error) }
    if size > 0 && !resumes { throw .exists(path) }
    do throws(SystemError) {
      if size == 0 {
        waiting = Array(TaskRecord.header.utf8)
      } else if try file.read(at: size - 1, atMost: 1) != [UInt8(ascii: "\n")] {
        // The last run ended in the middle of a line. That record is ignored.
        waiting = [UInt8(ascii: "\n")]
      }
    } catch { throw .unusable(path, error) }
    flush()
  }

  /// Writes a record. If the disk is full, the record waits for `flush`.
  package func append(_ record: TaskRecord) {
    waiting += record.line
    flush()
  }

  /// Tries to write the waiting records.
  ///
  /// - Returns: whether everything is written
  @discardableResult
  package func flush() -> Bool {
    while !waiting.isEmpty {
      let count = unsafe waiting.withUnsafeBytes {
        unsafe Glibc.write(file.raw, $0.baseAddress, $0.count)
      }
      let code = errno
      if count < 0 && code == EINTR { continue }
      guard count > 0 else {
        failure = SystemError("write \(path)", count < 0 ? code : ENOSPC)
        return false
      }
      if count == waiting.count {
        waiting.removeAll(keepingCapacity: waiting.count < 4096)
      } else {
        waiting.removeFirst(count)
      }
    }
    failure = nil
    return true
  }

  /// Reads all complete records from the beginning.
  ///
  /// - Parameter take: is called with each record
  /// - Returns: the number of lines that are not records: torn lines, or lines of another program
  package func forEachEarlier(_ take: (EarlierTask) -> Void) throws(JobLogError) -> Int {
    var damaged = 0
    var offset = 0
    var rest: [UInt8] = []
    while true {
      let block: [UInt8]
      do throws(SystemError) { block = try file.read(at: offset, atMost: 1 << 17) } catch {
        throw .unusable(path, error)
      }
      if block.isEmpty { break }
      offset += block.count
      rest += block
      damaged += JobLog.takeLines(of: &rest, take)
    }
    return damaged
  }

  private static func takeLines(of text: inout [UInt8], _ take: (EarlierTask) -> Void) -> Int {
    var damaged = 0
    var start = 0
    while let end = text[start...].firstIndex(of: UInt8(ascii: "\n")) {
      if let earlier = EarlierTask(text[start..<end]) {
        take(earlier)
      } else if end > start, !text[start..<end].starts(with: "Seq\t".utf8) {
        damaged += 1
      }
      start = end + 1
    }
    text.removeFirst(start)
    return damaged
  }
}
