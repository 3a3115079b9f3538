// A desktop: Xvnc on a unix socket, with noVNC in the browser.

import Glibc
import SpunnelSystem

/// Xvnc finds a free display by itself (`-displayfd`): a display made of the job's number is somebody else's
/// soon, and where /tmp is private the abstract sockets are not.
package final class DesktopKind: SessionKind {
  package static let name = "desktop"
  package static let letters = "vnc"
  package static let summary = "Start a desktop, seen in the browser or a VNC viewer."
  package static let needs =
    "one of the packages tigervnc-standalone-server, tigervnc-tools, novnc, openbox"
  package static let isSeenInBrowser = true

  /// What a site may put on its nodes to choose the desktop: an executable file.
  static let siteDesktop = "/etc/spunnel/desktop"
  /// Programs that make a desktop, the first that is there.
  private static let desktops = [
    "startxfce4", "mate-session", "startlxqt", "startlxde", "openbox-session", "startfluxbox",
    "icewm-session", "openbox", "fluxbox", "icewm", "fvwm", "twm",
  ]
  /// Where packages put noVNC's page.
  private static let pages = ["/usr/share/novnc", "/usr/share/noVNC", "/usr/local/share/novnc"]
  /// noVNC's settings, in the fragment, which no browser sends anywhere.
  private static let next =
    "/vnc.html#autoconnect=true&reconnect=true&resize=remote&show_dot=true&password="
    + GateSettings.placeholder

  private static let patience = 30_000
  private static let log = "desktop.log"
  private static let socket = "vnc"

  private var server: pid_t = 0
  private var desktop: pid_t = 0
  private var gate: BrowserGate?
  private var display: XDisplay?

  package init() {}

  package func start(
    _ place: SessionPlace, command: [ByteString]
  ) throws(SessionFailure) -> SessionOffer {
    let session = try DesktopKind.session(place, command)
    guard let page = DesktopKind.pages.first(where: { unsafe access($0 + "/vnc.html", R_OK) == 0 })
    else { throw .missing(program: "noVNC", package: "novnc") }
    try DesktopKind.renewPassword(in: place.path, environment: place.environment)
    let display = try startServer(place)
    self.display = display
    let environment = DesktopKind.environment(place, display)
    desktop = try SessionFailure.from { () throws(SystemError) in
      _ = try SessionBus.start(place, environment)
      var program = session
      program.environment = environment
      return try place.start(program, log: DesktopKind.log)
    }
    var settings = try place.gateSettings(next: DesktopKind.next)
    settings.files = page
    settings.bridge = "\(place.path)/\(DesktopKind.socket)"
    let gate = try BrowserGate(place, settings)
    self.gate = gate
    return gate.offer(["viewer": "\(place.path)/\(DesktopKind.socket)"])
  }

  /// The words behind `--`, else the site's desktop, else what the node has.
  private static func session(
    _ place: SessionPlace, _ command: [ByteString]
  ) throws(SessionFailure) -> Program {
    if let first = command.first {
      var program = try place.program(first.text, [], package: first.text)
      program.arguments = command
      return program
    }
    for name in [siteDesktop] + desktops {
      if name.hasPrefix("/"), unsafe access(name, X_OK) != 0 { continue }
      if let program = try? place.program(name, [], package: name) { return program }
    }
    throw .missing(program: "a desktop or window manager", package: "openbox")
  }

  private func startServer(_ place: SessionPlace) throws(SessionFailure) -> XDisplay {
    let path = place.path
    var program = try place.program("Xvnc", [], package: "tigervnc-standalone-server")
    program.arguments += [
      "-displayfd", "3", "-auth", "\(path)/\(XDisplay.authority)", "-nolisten", "tcp",
      "-rfbport", "-1", "-rfbunixpath", "\(path)/\(DesktopKind.socket)", "-rfbunixmode", "0600",
      "-SecurityTypes", "VncAuth", "-PasswordFile", "\(path)/vncpasswd",
      // A socket is one host to Xvnc: its list of hosts that guess would shut the owner out.
      "-BlacklistThreshold", "1000000", "-AlwaysShared", "-AcceptSetDesktopSize",
      "-geometry", "1280x800", "-depth", "24", "-desktop", "session",
    ]
    program.environment = Process.withoutLibraries(place.environment)
    return try XDisplay.start(
      place, program, log: DesktopKind.log, patience: DesktopKind.patience
    ) { server = $0 }
  }

  private static func environment(_ place: SessionPlace, _ display: XDisplay) -> [ByteString] {
    place.environment + [
      "DISPLAY=\(display.name)", "XAUTHORITY=\(place.path)/\(XDisplay.authority)",
      "XDG_SESSION_TYPE=x11", "DBUS_SESSION_BUS_ADDRESS=\(SessionBus.address(place))",
    ]
  }

  /// A new password, which Xvnc reads at each connection.
  private static func renewPassword(
    in path: String, environment: [ByteString]
  ) throws(SessionFailure) {
    guard
      let tool = ["vncpasswd", "tigervncpasswd"].lazy
        .compactMap({ Program.find(ByteString($0), searchPath: "/usr/bin:/bin:/usr/local/bin") })
        .first
    else { throw .missing(program: "vncpasswd", package: "tigervnc-tools") }
    do throws(SystemError) {
      let directory = try Directory.open(path)
      let password = try Secret.makeShort()
      try directory.replace(GateSettings.password, with: Array("\(password)\n".utf8))
      let clear = try FileDescriptor.open(
        "\(path)/\(GateSettings.password)", O_RDONLY | O_NOFOLLOW)
      let made = try FileDescriptor.open(
        "\(path)/vncpasswd.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW)
      let nothing = try FileDescriptor.open("/dev/null", O_WRONLY)
      let child = try Program(
        path: tool, arguments: [tool, "-f"], environment: environment,
        descriptors: [clear.raw, made.raw, nothing.raw]
      ).start()
      var status: CInt = 0
      try check("waitpid") { unsafe waitpid(child, &status, 0) }
      guard status == 0 else { throw SystemError("run \(tool.text)", EIO) }
      try directory.rename("vncpasswd.new", to: "vncpasswd")
    } catch { throw .refused("\(error)") }
  }

  package func childEnded(_ child: pid_t, status: Int, _ place: SessionPlace) -> Int? {
    if child == desktop, !place.keeps { return status }
    if child == server {
      StandardStream.error.write(
        line: "spunnel-session: Xvnc: \(place.lastLine(of: DesktopKind.log) ?? "it has ended")")
      return SessionFailure.refused("").status
    }
    return gate?.outlives(child) == false ? SessionFailure.refused("").status : nil
  }

  package func warn(_ line: String, _ place: SessionPlace) -> Bool {
    guard let display else { return false }
    return XWarning.show(line, place, DesktopKind.environment(place, display))
  }

  /// The desktop's programs end before their display does.
  package func end(_ place: SessionPlace) {
    guard desktop > 0 else { return }
    Process.end(group: desktop, patience: 300)
    display?.end()
  }

  package static func renew(_ record: SessionRecord) throws(SystemError) -> SessionOffer {
    do throws(SessionFailure) {
      try renewPassword(in: record.path, environment: Process.environment())
    } catch { throw SystemError(error.said, EIO) }
    var offer = try BrowserGate.renew(record)
    offer.facts["password"] = GateSettings.word(GateSettings.password, in: record.path)
    return offer
  }
}
