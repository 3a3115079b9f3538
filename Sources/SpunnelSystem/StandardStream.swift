// Lines for people and pipes: standard output and standard error.

import CSystem
import Glibc

/// A stream that this process was given and does not own.
public enum StandardStream: CInt, Sendable {
  case output = 1
  case error = 2

  /// Writes a line. A reader that went away, as head(1) does, is no error worth a word.
  ///
  /// - Returns: whether it was written
  @discardableResult
  public func write(line: String) -> Bool { write(line + "\n") }

  /// Writes a text as it is.
  ///
  /// - Returns: whether it was written
  @discardableResult
  public func write(_ text: String) -> Bool {
    // Borrowed for the moment: this process did not open it and must not close it.
    let borrowed = FileDescriptor(owning: rawValue)
    let isWritten: Bool
    do throws(SystemError) {
      try borrowed.writeAll(Array(text.utf8))
      isWritten = true
    } catch { isWritten = false }
    _ = borrowed.release()
    return isWritten
  }

  /// Columns and rows, when it is a terminal.
  public var size: (columns: Int, rows: Int)? {
    var (rows, columns): (UInt16, UInt16) = (0, 0)
    guard unsafe csystem_terminal_size(rawValue, &rows, &columns) >= 0 else { return nil }
    return (Int(columns), Int(rows))
  }
}
