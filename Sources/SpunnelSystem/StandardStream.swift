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
    do throws(SystemError) { try put(text) } catch { return false }
    return true
  }

  /// Writes a text as it is, or tells why not.
  public func put(_ text: String) throws(SystemError) {
    // Borrowed for the moment: this process did not open it and must not close it.
    let borrowed = FileDescriptor(owning: rawValue)
    var failure: SystemError?
    do throws(SystemError) { try borrowed.writeAll(Array(text.utf8)) } catch { failure = error }
    _ = borrowed.release()
    if let failure { throw failure }
  }

  /// Closes the stream: some file systems tell only then that what was written has no room.
  public func close() throws(SystemError) {
    try check("close") { Glibc.close(rawValue) }
  }

  /// Columns and rows, when it is a terminal.
  public var size: (columns: Int, rows: Int)? {
    var (rows, columns): (UInt16, UInt16) = (0, 0)
    guard unsafe csystem_terminal_size(rawValue, &rows, &columns) >= 0 else { return nil }
    return (Int(columns), Int(rows))
  }
}
