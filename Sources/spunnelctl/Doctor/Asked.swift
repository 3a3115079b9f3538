// Programs that the doctor asks, each for a bounded time.

import Glibc
import SpunnelSystem

/// What a program said, or why it said nothing.
enum Asked {
  case said(ProgramResult)
  /// The reason.
  case nothing(String)

  /// - Parameters:
  ///   - words: a program on `PATH`, or its path, and its arguments
  ///   - extra: `NAME=value` entries before this process's own
  init(_ words: [String], milliseconds: Int, environment extra: [String] = []) {
    guard let path = Program.find(words[0]) else {
      self = .nothing("no program '\(printable(words[0]))' on PATH")
      return
    }
    let names = extra.map { $0.prefix { $0 != "=" } + "=" }
    let environment =
      extra.map { ByteString($0) }
      + Process.environment().filter { entry in !names.contains { entry.hasPrefix(String($0)) } }
    let program = Program(path, Array(words.dropFirst()), environment: environment)
    let deadline = Clock.milliseconds() + milliseconds
    do throws(SystemError) {
      let result = try program.capture(milliseconds: milliseconds)
      // ssh ends with the status that stands for one that did not end in time.
      self =
        result.isLate && Clock.milliseconds() >= deadline
        ? .nothing("\(words[0]) has not answered within \(milliseconds / 1000) seconds")
        : .said(result)
    } catch { self = .nothing("\(error)") }
  }
}
