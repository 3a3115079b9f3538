// A socket file that is held, whatever becomes of its name.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper

@Suite struct SocketHandleTests {
  private let scratch: Scratch
  private var path: String { scratch.path + "/in/socket" }

  init() throws {
    scratch = try Scratch()
    try scratch.makeDirectory("in")
  }

  private func handle(_ name: String = "socket") throws -> SocketHandle {
    try SocketHandle(name, in: try Directory.open(scratch.path + "/in"))
  }

  private func accept(from listener: borrowing FileDescriptor) throws -> End? {
    guard let accepted = try Socket.accept(from: listener.raw) else { return nil }
    return try End(accepted.descriptor)
  }

  /// Connects, and sees who accepts.
  private func expectConnection(
    _ handle: borrowing SocketHandle, to listener: borrowing FileDescriptor,
    at location: SourceLocation = #_sourceLocation
  ) throws {
    let near = try End(try handle.connect())
    let far = try #require(try accept(from: listener), sourceLocation: location)
    near.send("it is you")
    far.receive()
    #expect(far.text == "it is you", sourceLocation: location)
  }

  @Test func whatIsSentToOneThatHungUpIsAnErrorAndNoSignal() async {
    await #expect(processExitsWith: .success) {
      _ = signal(SIGPIPE, SIG_DFL)
      let pair = try FileDescriptor.streamPair()
      _ = shutdown(pair.right.raw, CInt(SHUT_RD))
      let near = pair.left.raw
      #expect(throws: SystemError("send", EPIPE)) { try Socket.send([1, 2, 3], over: near) }
    }
  }

  @Test func itConnectsAgainAndAgainWithoutWaiting() throws {
    let listener = try listenUnix(path)
    let handle = try handle()
    for _ in 0..<3 { try expectConnection(handle, to: listener) }
    let connection = try handle.connect()
    #expect(fcntl(connection.raw, F_GETFL) & O_NONBLOCK != 0)
    #expect(fcntl(connection.raw, F_GETFD) & FD_CLOEXEC != 0)
  }

  @Test func renamingTheNameDoesNotMatter() throws {
    let listener = try listenUnix(path)
    let handle = try handle()
    #expect(unsafe rename(path, path + ".old") == 0)
    try expectConnection(handle, to: listener)
  }

  @Test func replacingTheNameDoesNotMatter() throws {
    let listener = try listenUnix(path)
    let handle = try handle()
    #expect(unsafe unlink(path) == 0)
    let other = try listenUnix(path)
    try expectConnection(handle, to: listener)
    #expect(try accept(from: other) == nil)
  }

  @Test func movingTheDirectoryDoesNotMatter() throws {
    let listener = try listenUnix(path)
    let handle = try handle()
    #expect(unsafe rename(scratch.path + "/in", scratch.path + "/away") == 0)
    try scratch.makeDirectory("in")
    let other = try listenUnix(path)
    try expectConnection(handle, to: listener)
    #expect(try accept(from: other) == nil)
  }

  @Test func aLinkIsNotFollowed() throws {
    let listener = try listenUnix(path)
    try scratch.makeLink("in/link", to: path)
    #expect(throws: SystemError.self) { _ = try handle("link").connect() }
    #expect(try accept(from: listener) == nil)
  }

  @Test func whatIsNotThereHasNoHandle() {
    #expect(throws: SystemError("open none", ENOENT)) { _ = try handle("none") }
  }

  @Test func whatDoesNotListenRefuses() throws {
    try scratch.write("", to: "in/file")
    let file = try handle("file")
    var error = #expect(throws: SystemError.self) { _ = try file.connect() }
    #expect(error?.code == ECONNREFUSED)
    var listener: FileDescriptor? = try listenUnix(path)
    let socket = try handle()
    try expectConnection(socket, to: try duplicate(listener?.raw ?? -1))
    listener = nil
    // Another test's fork may hold a copy of the listener for a moment.
    #expect(
      eventually {
        do throws(SystemError) { _ = try socket.connect() } catch {
          return error.code == ECONNREFUSED
        }
        return false
      })
    error = #expect(throws: SystemError.self) { _ = try socket.connect() }
    #expect(error?.code == ECONNREFUSED)
  }

  @Test func aFullQueueIsNotWaitedFor() throws {
    let listener = try listenUnix(path, backlog: 0)
    let handle = try handle()
    let first = try handle.connect()
    let error = #expect(throws: SystemError.self) { _ = try handle.connect() }
    #expect(error?.code == EAGAIN)
    #expect(try accept(from: listener) != nil)
    _ = try handle.connect()
    _ = consume first
  }
}
