// How a command ends: exit statuses, and why it stops early.

/// The exit status of a process.
package struct ExitCode: RawRepresentable, Equatable, Sendable {
  package let rawValue: CInt

  package init(rawValue: CInt) { self.rawValue = rawValue }

  package static let success = ExitCode(rawValue: 0)
  /// Something failed; a line on standard error says what.
  package static let failure = ExitCode(rawValue: 1)
  /// The words on the command line make no sense; a line on standard error says why.
  package static let usage = ExitCode(rawValue: 2)
}

/// Why a command stops early.
package enum CommandError: Error, Equatable {
  case failure(String)
  /// Several things failed, with a line for each; the others were done.
  case failures([String])
  case usage(String)
  /// Everything was told already.
  case exit(ExitCode)

  /// What is told on standard error.
  package var lines: [String] {
    switch self {
    case .failure(let message), .usage(let message): [message]
    case .failures(let messages): messages
    case .exit: []
    }
  }

  package var status: ExitCode {
    switch self {
    case .failure, .failures: .failure
    case .usage: .usage
    case .exit(let status): status
    }
  }
}
