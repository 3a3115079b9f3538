// An X server of a session's own: its display, the cookie that lets programs in, a bus beside it, and windows.

import Glibc
import SpunnelSystem

/// A display that nobody without the cookie may use: X's sockets are open to all users of a node.
struct XDisplay: Sendable {
  /// The file of the cookie, in the session's directory.
  static let authority = "Xauthority"

  let number: Int
  let server: pid_t
  var name: String { ":\(number)" }

  /// Starts an X server that writes the number of the display that it found to descriptor 3.
  ///
  /// - Parameter started: told the server's process id before the wait
  static func start(
    _ place: SessionPlace, _ program: Program, log: String, patience: Int,
    started: (pid_t) -> Void
  ) throws(SessionFailure) -> XDisplay {
    let pipe = try SessionFailure.from { () throws(SystemError) in
      try FileDescriptor.pipe(childHas: .writer)
    }
    let server = try SessionFailure.from { () throws(SystemError) in
      try writeCookie(in: place.path)
      return try place.start(program, log: log, more: [pipe.writer.raw])
    }
    started(server)
    var said: [UInt8] = []
    try place.wait(for: server, log: log, milliseconds: patience) {
      if let more = try? pipe.reader.read(atMost: 64) { said += more }
      return said.contains(10)
    }
    guard let number = wholeNumber(String(decoding: said.filter { $0 != 10 }, as: UTF8.self)) else {
      throw .refused("the X server told no display")
    }
    return XDisplay(number: number, server: server)
  }

  /// An entry of Xauthority(5) for any host and any display (Xau(3), `FamilyWild`).
  static func writeCookie(in path: String) throws(SystemError) {
    func counted(_ bytes: [UInt8]) -> [UInt8] {
      [UInt8(bytes.count >> 8), UInt8(bytes.count & 0xff)] + bytes
    }
    let entry =
      [0xff, 0xff] + counted([]) + counted([]) + counted(Array("MIT-MAGIC-COOKIE-1".utf8))
      + counted(try Secret.random(16))
    try Directory.open(path).replace(authority, with: entry)
  }

  /// Ends the server, and removes what one leaves behind that was killed.
  func end() {
    Process.end(group: server, patience: 1000)
    XDisplay.clear(number)
  }

  /// Ends the server of a display if this session started it, and removes the files that one leaves behind
  /// that was killed. Another user's, and another session's, are left alone.
  static func clear(_ number: Int) {
    let lock = "/tmp/.X\(number)-lock"
    // A server that found its display by itself may have no lock.
    defer { removeSocket("/tmp/.X11-unix/X\(number)") }
    guard let owner = owner(ofLock: lock) else { return }
    if Descendants.all().contains(owner) { _ = kill(owner, SIGTERM) }
    let end = Clock.milliseconds() + 1000
    while ProcessTable.isRunning(owner), Clock.milliseconds() < end { usleep(5000) }
    guard !ProcessTable.isRunning(owner), self.owner(ofLock: lock) == owner else { return }
    _ = unsafe unlink(lock)
  }

  /// Removes a socket of this user's that nobody listens on.
  private static func removeSocket(_ path: String) {
    var found = stat()
    guard unsafe lstat(path, &found) == 0, found.st_uid == getuid(),
      found.st_mode & S_IFMT == S_IFSOCK, !Socket.canConnect(unix: path)
    else { return }
    _ = unsafe unlink(path)
  }

  /// The process in a display's lock file, when the file is this user's.
  private static func owner(ofLock path: String) -> pid_t? {
    // Within /tmp: another user's file system is not entered.
    guard let tmp = try? Directory.open("/tmp"), let name = path.split(separator: "/").last,
      let file = try? FileDescriptor.open(
        String(name), within: tmp.descriptor.raw, O_RDONLY | O_NONBLOCK),
      let text = try? file.read(atMost: 32)
    else { return nil }
    var found = stat()
    guard unsafe fstat(file.raw, &found) == 0, found.st_uid == getuid() else { return nil }
    return pid_t(String(decoding: text, as: UTF8.self).filter(\.isNumber))
  }
}

/// A message bus of the session's own: two desktops on one node that share one do not start.
enum SessionBus {
  static func address(_ place: SessionPlace) -> String { "unix:path=\(place.path)/bus" }

  /// - Returns: the bus, `nil` on a node without one
  static func start(
    _ place: SessionPlace, _ environment: [ByteString]
  ) throws(SystemError) -> pid_t? {
    // The system's own: conda's is built for other paths.
    guard let path = Program.find("dbus-daemon", searchPath: "/usr/bin:/bin:/usr/local/bin") else {
      return nil
    }
    let program = Program(
      path: path,
      arguments: [
        "dbus-daemon", "--session", "--nofork", "--nopidfile", "--address=\(address(place))",
      ], environment: Process.withoutLibraries(environment), descriptors: [])
    return try place.start(program, log: "bus.log")
  }
}

/// A window that tells the user something.
enum XWarning {
  /// - Returns: whether the node has a program that shows one
  static func show(_ line: String, _ place: SessionPlace, _ environment: [ByteString]) -> Bool {
    let kinds: [(String, [ByteString])] = [
      ("zenity", ["--warning", "--title=Session", "--text=\(ByteString(line).text)"]),
      ("kdialog", ["--title", "Session", "--sorry", ByteString(line)]),
      ("xmessage", ["-center", "-title", "Session", ByteString(line)]),
    ]
    for (name, words) in kinds {
      guard var program = try? place.program(name, words, package: name) else { continue }
      program.environment = environment
      if (try? place.start(program, log: "warning.log")) != nil { return true }
    }
    return false
  }
}
