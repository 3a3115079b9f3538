// How far a link is, and what brings it further: all of its transitions.

import SpunnelTunnel

enum LinkState {
  /// A time without a way to services.
  struct Absence {
    /// When it began, in milliseconds of the monotonic clock; `nil` where there was no way before.
    var since: Int?
    /// Why ssh ended last.
    var end: SSHDiagnosis?
  }

  /// No ssh has logged in.
  case down(Absence)
  /// ssh has logged in, and what was carried before is being opened again.
  case returning(ControlMaster, Absence)
  /// Services can be connected to, since a time of the monotonic clock in milliseconds.
  case up(ControlMaster, since: Int)
  /// The link was ended, and stays so.
  case over

  enum Event {
    case loggedIn(ControlMaster)
    /// What was carried before is there again.
    case restored
    case ended(SSHDiagnosis)
    case stopped
  }

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

  /// Since when services can be connected to, in milliseconds of the monotonic clock.
  var upSince: Int? { if case .up(_, let since) = self { since } else { nil } }

  /// The time without a way to services, while that is so.
  var absence: Absence? {
    switch self {
    case .down(let absence), .returning(_, let absence): absence
    case .up, .over: nil
    }
  }

  var isOver: Bool { if case .over = self { true } else { false } }
}
