// `spunnel-session gate`: stands between a browser and a session's page, on the session's own unix socket.

import Glibc
import SpunnelSystem

/// One process that accepts, and one for each connection. It ends with the holder, which started it.
enum Gate {
  static let socket = "web"
  /// Connections at once. A page has about ten.
  private static let most = 200

  /// - Returns: the exit status
  static func run() -> CInt {
    guard let path = Process.environment("XDG_RUNTIME_DIR"),
      let settings = GateSettings.read(in: path)
    else { return refuse("the session's directory is not there") }
    Process.keepFilesPrivate()
    do throws(SystemError) {
      // What a gate has left that was killed.
      _ = unsafe unlink("\(path)/\(socket)")
      let listener = try Socket.listen(unix: "\(path)/\(socket)")
      let signals = try SignalWatch([SIGCHLD])
      try accept(from: listener, signals, settings, path)
    } catch { return refuse("\(error)") }
    return 0
  }

  private static func accept(
    from listener: borrowing FileDescriptor, _ signals: borrowing SignalWatch,
    _ settings: GateSettings, _ path: String
  ) throws(SystemError) {
    var served = 0
    while true {
      var entries = [
        pollfd(fd: listener.raw, events: served < most ? Int16(POLLIN) : 0, revents: 0),
        pollfd(fd: signals.descriptor.raw, events: Int16(POLLIN), revents: 0),
      ]
      _ = unsafe poll(&entries, 2, -1)
      _ = try signals.take()
      let before = served
      while waitpid(-1, nil, WNOHANG) > 0 { served -= 1 }
      if entries[0].revents != 0 {
        // The connection blocks, whatever its listener does.
        let client = Glibc.accept(listener.raw, nil, nil)
        if client >= 0 {
          if isServed(client, settings, path, closing: listener.raw) { served += 1 }
          _ = close(client)
        }
      }
      // Whoever has the page open is attached to the session.
      if before == 0, served > 0 { Attendance.begin(in: path) }
      if before > 0, served == 0 { Attendance.end(in: path) }
    }
  }

  /// - Returns: whether a process was started for it
  private static func isServed(
    _ client: CInt, _ settings: GateSettings, _ path: String, closing listener: CInt
  ) -> Bool {
    guard let side = try? Process.fork(parentDeathSignal: SIGKILL) else { return false }
    guard case .child = side else { return true }
    Process.unblockSignals()
    _ = close(listener)
    GateConnection(client, settings, in: path).serve()
    _exit(0)
  }

  private static func refuse(_ line: String) -> CInt {
    StandardStream.error.write(line: "spunnel-session: gate: \(line)")
    return 1
  }
}
