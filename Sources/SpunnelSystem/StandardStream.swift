// Lines for people and pipes: standard output and standard error.

import Glibc

/// A stream that this process was given and does not own.
public enum StandardStream: CInt, Sendable {
  case output = 1
  case error = 2

  /// Writes a line. A reader that went away, as head(1) does, is no error worth a word.
  public func write(line: String) {
    let bytes = Array((line + "\n").utf8)
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(rawValue, $0.baseAddress! + done, bytes.count - done)
      }
      if count < 0 && errno != EINTR { return }
      done += max(0, count)
    }
  }
}
