// Standard output and standard error.

import CSystem
import Glibc

/// A stream that this process was given and does not own.
public enum StandardStream: CInt, Sendable {
  case output = 1
  case error = 2

  /// Writes a line. If the reader has gone away, as head(1) does, no error is reported.
  ///
  /// - Returns: whether the line was written
  @discardableResult
  public func write(line: String) -> Bool { write(line + "\n") }

  /// Writes a text exactly as given.
  ///
  /// - Returns: whether the text was written
  @discardableResult
  public func write(_ text: String) -> Bool {
    do throws(SystemError) { try put(text) } catch { return false }
    return true
  }

  /// Writes a text exactly as given.
  ///
  /// - Throws: why it was not written
  public func put(_ text: String) throws(SystemError) {
    // The descriptor is released afterwards: this process did not open it and must not close it.
    let borrowed = FileDescriptor(owning: rawValue)
    var failure: SystemError?
    do throws(SystemError) { try borrowed.writeAll(Array(text.utf8)) } catch { failure = error }
    _ = borrowed.release()
    if let failure { throw failure }
  }

  /// Closes the stream. Some file systems report only at close(2) that they had no room for the
  /// data.
  public func close() throws(SystemError) {
    try check("close") { Glibc.close(rawValue) }
  }

  /// Columns and rows of a terminal; `nil` if the stream is not a terminal.
  public var size: (columns: Int, rows: Int)? {
    var (rows, columns): (UInt16, UInt16) = (0, 0)
    guard unsafe csystem_terminal_size(rawValue, &rows, &columns) >= 0 else { return nil }
    return (Int(columns), Int(rows))
  }
}
