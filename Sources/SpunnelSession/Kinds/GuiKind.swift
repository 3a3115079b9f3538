// One graphical program: xpra on a unix socket, its HTML5 client in the browser.

import Glibc
import SpunnelSystem

/// The program is started by the holder and not by xpra, so that its exit status is known and its words are
/// taken as they are.
package final class GuiKind: SessionKind {
  package static let name = "gui"
  package static let letters = "gui"
  package static let summary = "Start a graphical program, seen in the browser."
  package static let argument: String? = "CMD"
  package static let needs = "the program, or one of the packages xpra, xvfb"
  package static let isSeenInBrowser = true

  private var program: pid_t = 0
  private var server: XpraServer?
  private var gate: BrowserGate?

  package init() {}

  package func start(
    _ place: SessionPlace, command: [ByteString]
  ) throws(SessionFailure) -> SessionOffer {
    guard let first = command.first else { throw .refused("no program was named") }
    var program = try place.program(first.text, [], package: first.text)
    program.arguments = command
    let server = XpraServer(place)
    self.server = server
    try server.start()
    program.environment = server.environment
    // Its output is the job's.
    program.descriptors = [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    program.parentDeathSignal = SIGTERM
    self.program = try SessionFailure.from { () throws(SystemError) in try program.start() }
    let gate = try BrowserGate(place, try server.gateSettings())
    self.gate = gate
    // No viewer: a web page could speak with an xpra that stands behind no gate.
    return gate.offer()
  }

  package func childEnded(_ child: pid_t, status: Int, _ place: SessionPlace) -> Int? {
    if child == program, !place.keeps { return status }
    if child == server?.process {
      StandardStream.error.write(
        line: "spunnel-session: xpra: \(place.lastLine(of: XpraServer.log) ?? "it has ended")")
      return SessionFailure.refused("").status
    }
    return gate?.outlives(child) == false ? SessionFailure.refused("").status : nil
  }

  package func warn(_ line: String, _ place: SessionPlace) -> Bool {
    guard let server else { return false }
    return XWarning.show(line, place, server.environment)
  }

  package func end(_ place: SessionPlace) {
    if program > 0 { Process.end(group: program, patience: 300) }
    server?.end()
  }

  package static func renew(_ record: SessionRecord) throws(SystemError) -> SessionOffer {
    try BrowserGate.renew(record)
  }
}
