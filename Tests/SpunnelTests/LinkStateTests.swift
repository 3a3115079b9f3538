// The transitions of a link.

import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

@Suite struct LinkStateTests: MasterSuite {
  let rig: MasterRig

  init() throws { rig = try MasterRig() }

  private func end(_ reason: String) throws -> SSHDiagnosis {
    SSHDiagnosis(lines: [reason], node: try node(), exitCode: 255)
  }

  /// Each event a second after the one before.
  private func after(_ events: [LinkState.Event]) -> LinkState {
    events.enumerated().reduce(.down(.init())) { $0.after($1.element, at: 1000 * ($1.offset + 1)) }
  }

  @Test func itIsUpOnceWhatItCarriedIsBack() {
    let returning = after([.loggedIn(master)])
    #expect(returning.master === master && returning.upSince == nil)
    let up = after([.loggedIn(master), .restored])
    #expect(up.master === master && up.upSince == 2000 && up.absence == nil)
  }

  @Test func aLossIsAsOldAsItsBeginning() throws {
    let lost = after([.loggedIn(master), .restored, .ended(try end("a"))])
    #expect(lost.master == nil && lost.absence?.since == 3000)
    let again = after([
      .loggedIn(master), .restored, .ended(try end("a")), .ended(try end("b")), .loggedIn(master),
    ])
    #expect(again.absence?.since == 3000)
    let last = try end("b").message
    #expect(again.absence?.end?.message == last)
  }

  @Test func withoutAWayBeforeNothingWasLost() throws {
    let failed = after([.loggedIn(master), .ended(try end("a"))])
    #expect(failed.absence?.since == nil && failed.absence?.end != nil)
  }

  @Test func whatWasEndedStaysSo() throws {
    for events: [LinkState.Event] in [
      [], [.loggedIn(master)], [.loggedIn(master), .restored], [.ended(try end("a"))],
    ] {
      #expect(after(events + [.stopped, .loggedIn(master), .restored]).isOver)
    }
  }
}
