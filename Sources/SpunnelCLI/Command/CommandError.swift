// How a command ends: exit statuses and errors.

/// The exit status of a process.
package struct ExitCode: RawRepresentable, Equatable, Sendable {
  package let rawValue: CInt

  package init(rawValue: CInt) { self.rawValue = rawValue }

  package static let success = ExitCode(rawValue: 0)
  /// The command failed. A line on standard error says why.
  package static let failure = ExitCode(rawValue: 1)
  /// The command line is wrong. A line on standard error says why.
  package static let usage = ExitCode(rawValue: 2)
}

/// Why a command stops early.
package enum CommandError: Error, Equatable {
  /// One failure, in one line.
  case failure(String)
  /// Several failures, one line each. Everything else was done.
  case failures([String])
  /// A wrong command line, in one line.
  case usage(String)
  /// An exit status; everything was already printed.
  case exit(ExitCode)

  /// The lines for standard error.
  package var lines: [String] {
    switch self {
    case .failure(let message), .usage(let message): [message]
    case .failures(let messages): messages
    case .exit: []
    }
  }

  /// The exit status of the process.
  package var status: ExitCode {
    switch self {
    case .failure, .failures: .failure
    case .usage: .usage
    case .exit(let status): status
    }
  }
}
