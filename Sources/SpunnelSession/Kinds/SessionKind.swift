// What a kind of session is: how it starts in the job, what an attach runs, what it offers.

import Glibc
import SpunnelSystem

/// A kind of session. A new kind is one file with one type, and one line in `SessionKinds.all`.
///
/// An instance lives in the holder, the program that the batch script becomes (`Holder`). What an attach
/// needs is in the session's record, which the holder writes once the kind has started.
package protocol SessionKind: AnyObject, SendableMetatype {
  /// The word for it: in `session start --NAME`, in the list, in the job's command line.
  static var name: String { get }
  /// The value of `QCONNECT` in the job: tmux, gui or vnc.
  static var letters: String { get }
  /// What the option that chooses the kind does, a phrase for its help.
  static var summary: String { get }
  /// How help names the value of that option; `nil` for an option without one. The value is the first word of
  /// the session's command.
  static var argument: String? { get }
  /// What must be installed on the node, for the message when it is not.
  static var needs: String { get }

  /// Whether the session is seen at an address, and not at the terminal.
  static var isSeenInBrowser: Bool { get }

  init()

  /// Starts everything that the session needs.
  ///
  /// - Parameters:
  ///   - place: the session's runtime directory and environment
  ///   - command: the words behind `--`, empty when there were none
  /// - Returns: what an attach finds
  func start(_ place: SessionPlace, command: [ByteString]) throws(SessionFailure) -> SessionOffer

  /// Told of each child of the holder that has ended.
  ///
  /// - Returns: the exit status of the session, or `nil` while it goes on
  func childEnded(_ child: pid_t, status: Int, _ place: SessionPlace) -> Int?

  /// Shows a line to the user inside the session, as the end of time comes near.
  ///
  /// - Returns: whether the kind has a place for it; otherwise the attached terminals show it
  func warn(_ line: String, _ place: SessionPlace) -> Bool

  /// Asks the session's programs to end; what is left afterwards is ended by the holder.
  func end(_ place: SessionPlace)

  /// Runs in the attach step, at the user's terminal, until the user leaves.
  ///
  /// - Parameters:
  ///   - record: what the holder wrote
  ///   - manner: whether other terminals stay, and whether this one only looks
  /// - Returns: the program to run at the terminal, or `nil` for kinds that are seen in a browser
  static func attachProgram(_ record: SessionRecord, _ manner: AttachManner) -> Program?

  /// What an attach is told of a session that is seen in a browser: with a new key, which makes those of
  /// earlier attaches void.
  static func renew(_ record: SessionRecord) throws(SystemError) -> SessionOffer

  /// Whether the session goes on after the program at the terminal has ended: was it left, or is it over?
  static func goesOn(_ record: SessionRecord) -> Bool
}

extension SessionKind {
  package static var argument: String? { nil }
  package static var isSeenInBrowser: Bool { false }

  package static func attachProgram(_ record: SessionRecord, _ manner: AttachManner) -> Program? {
    nil
  }

  package static func goesOn(_ record: SessionRecord) -> Bool { true }

  package static func renew(_ record: SessionRecord) throws(SystemError) -> SessionOffer {
    record.offer
  }
}

/// How a terminal joins a session that may have others.
package enum AttachManner: String, Sendable {
  /// The others are sent away.
  case alone
  /// The others stay.
  case share
  /// The others stay, and this one types nothing.
  case readOnly = "read-only"
}

/// Which kinds there are.
package enum SessionKinds {
  package static let all: [any SessionKind.Type] = [
    ShellKind.self, GuiKind.self, DesktopKind.self, JupyterKind.self,
  ]

  package static func named(_ name: String) -> (any SessionKind.Type)? {
    all.first { $0.name == name }
  }
}

/// Why a session cannot start. Its exit status is the job's, so that any login host learns the reason
/// from Slurm, also where the job's output goes nowhere.
package enum SessionFailure: Error, Equatable {
  /// A program that the kind needs is not on the node: its name and Debian's package.
  case missing(program: String, package: String)
  /// No directory of mode 0700 could be made on the node.
  case noPlace(String)
  /// A program ended before it was ready; its last line.
  case refused(String)

  /// In the range that sysexits.h leaves to nobody else here, and away from shells' 126 to 128.
  package var status: Int {
    switch self {
    case .missing: 69
    case .noPlace: 73
    case .refused: 70
    }
  }

  package var said: String {
    switch self {
    case .missing(let program, let package):
      "find \(program): not found on this node: ask your administrator to install the package "
        + "\(package) there"
    case .noPlace(let reason): "make the session's directory: \(reason)"
    case .refused(let line): "start: \(line)"
    }
  }
}

extension SessionFailure {
  /// What the system refuses is why a session cannot start.
  static func from<Value: ~Copyable>(
    _ body: () throws(SystemError) -> Value
  ) throws(SessionFailure) -> Value {
    do throws(SystemError) { return try body() } catch { throw .refused("\(error)") }
  }
}
