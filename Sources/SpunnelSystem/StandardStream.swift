// Lines for people and pipes: standard output and standard error.

import Glibc

/// A stream that this process was given and does not own.
public enum StandardStream: CInt, Sendable {
  case output = 1
  case error = 2

  /// Writes a line. A reader that went away, as head(1) does, is no error worth a word.
  public func write(line: String) {
    // Borrowed for the moment: this process did not open it and must not close it.
    let borrowed = FileDescriptor(owning: rawValue)
    do throws(SystemError) { try borrowed.writeAll(Array((line + "\n").utf8)) } catch {}
    _ = borrowed.release()
  }
}
