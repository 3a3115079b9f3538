// The states of a link, and all transitions between them.

import SpunnelTunnel

enum LinkState {
  /// A period in which services cannot be reached.
  struct Absence {
    /// When the period began, in milliseconds of the monotonic clock; `nil` if the link was never
    /// up.
    var since: Int?
    /// Why the last ssh ended.
    var end: SSHDiagnosis?
  }

  /// No ssh has logged in.
  case down(Absence)
  /// ssh has logged in, and the forwards of the lost connection are being opened again.
  case returning(ControlMaster, Absence)
  /// Services can be connected to. `since` is in milliseconds of the monotonic clock.
  case up(ControlMaster, since: Int)
  /// The link was stopped for good.
  case over

  enum Event {
    case loggedIn(ControlMaster)
    /// The forwards of the lost connection are open again.
    case restored
    case ended(SSHDiagnosis)
    case stopped
  }

  /// The state after an event.
  ///
  /// - Parameter now: in milliseconds of the monotonic clock
  func after(_ event: Event, at now: Int) -> LinkState {
    switch (self, event) {
    case (.over, _), (_, .stopped): .over
    case (.down(let absence), .loggedIn(let master)): .returning(master, absence)
    case (.returning(let master, _), .restored): .up(master, since: now)
    case (.up, .ended(let end)): .down(Absence(since: now, end: end))
    case (.down(let absence), .ended(let end)), (.returning(_, let absence), .ended(let end)):
      .down(Absence(since: absence.since, end: end))
    case (.down, .restored), (.returning, .loggedIn), (.up, .loggedIn), (.up, .restored): self
    }
  }

  /// The ssh that has logged in.
  var master: ControlMaster? {
    switch self {
    case .returning(let master, _), .up(let master, _): master
    case .down, .over: nil
    }
  }

  /// When the link came up, in milliseconds of the monotonic clock; `nil` while it is down.
  var upSince: Int? { if case .up(_, let since) = self { since } else { nil } }

  /// The current period in which services cannot be reached; `nil` while the link is up or stopped.
  var absence: Absence? {
    switch self {
    case .down(let absence), .returning(_, let absence): absence
    case .up, .over: nil
    }
  }

  var isOver: Bool { if case .over = self { true } else { false } }
}
