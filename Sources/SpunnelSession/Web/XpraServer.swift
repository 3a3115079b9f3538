// xpra, which shows single windows: a display of its own, and a unix socket for its clients.

import Glibc
import SpunnelSystem

/// One xpra of a session, with nothing of the site's or the user's own configuration of it: Debian's starts a
/// window of its own.
final class XpraServer {
  static let log = "xpra.log"
  private static let patience = 90_000

  private let place: SessionPlace
  private(set) var process: pid_t = 0
  private var display = 0
  let socket: String

  init(_ place: SessionPlace) {
    self.place = place
    socket = "\(place.path)/xpra.sock"
  }

  /// Starts it, and waits until its display and its socket are there.
  func start() throws(SessionFailure) {
    let pipe = try SessionFailure.from { () throws(SystemError) in
      try FileDescriptor.pipe(childHas: .writer)
    }
    try SessionFailure.from { () throws(SystemError) in
      let directory = try Directory.open(place.path)
      try directory.create("empty")
      try directory.create("sockets")
      try XDisplay.writeCookie(in: place.path)
      _ = try SessionBus.start(place, base)
    }
    let program = try self.program()
    process = try SessionFailure.from { () throws(SystemError) in
      try place.start(program, log: XpraServer.log, more: [pipe.writer.raw])
    }
    var said: [UInt8] = []
    try place.wait(for: process, log: XpraServer.log, milliseconds: XpraServer.patience) {
      if let more = try? pipe.reader.read(atMost: 64) { said += more }
      return said.contains(10) && Socket.canConnect(unix: socket)
    }
    let digits = String(decoding: said.filter { 0x30...0x39 ~= $0 }, as: UTF8.self)
    guard let number = wholeNumber(digits) else { throw .refused("xpra told no display") }
    display = number
  }

  private func program() throws(SessionFailure) -> Program {
    var program = try place.program("xpra", [], package: "xpra")
    program.arguments += [
      "start", "--displayfd=3", "--daemon=no", "--bind=\(socket)", "--auth=none", "--html=on",
      "--socket-dir=\(place.path)/sockets", "--socket-dirs=\(place.path)/sockets",
      "--socket-permissions=600", "--systemd-run=no", "--mdns=no", "--pulseaudio=no",
      "--dbus-launch=", "--dbus-proxy=no", "--notifications=no", "--printing=no", "--webcam=no",
      "--mmap=no", "--start-new-commands=no", "--exit-with-children=no", "--bell=no",
      "--use-display=no",
      "--xvfb=Xvfb +extension GLX +extension Composite -screen 0 3840x2160x24+32 -nolisten tcp -noreset "
        + "-auth \(place.path)/\(XDisplay.authority)",
    ].map { ByteString($0) }
    program.environment = base
    return program
  }

  private var base: [ByteString] {
    place.environment + [
      "XAUTHORITY=\(place.path)/\(XDisplay.authority)",
      "DBUS_SESSION_BUS_ADDRESS=\(SessionBus.address(place))",
      "XPRA_SYSTEM_CONF_DIRS=\(place.path)/empty", "XPRA_USER_CONF_DIRS=\(place.path)/empty",
    ]
  }

  /// What its programs find.
  var environment: [ByteString] { base + ["DISPLAY=:\(display)", "XDG_SESSION_TYPE=x11"] }

  func gateSettings() throws(SessionFailure) -> GateSettings {
    var settings = try place.gateSettings(next: "/")
    settings.backend = socket
    return settings
  }

  /// It ends its display itself, unless it crashes.
  func end() {
    if process > 0 { Process.end(group: process, patience: 3000) }
    XDisplay.clear(display)
  }
}
