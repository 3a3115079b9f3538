// Submit ends on real sockets: ports on both loopback addresses, and unix sockets.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelTunnel

@Suite struct SubmitSocketTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private var path: String { scratch.path + "/web.sock" }

  private func attributes(_ path: String) throws -> stat {
    var found = stat()
    try check("lstat") { unsafe lstat(path, &found) }
    return found
  }

  @Test func aPortIsBoundOnBothAddresses() throws {
    let number = try freePort()
    let sockets = try SubmitSocket.bind(
      try #require(Port(number)), stateDirectory: scratch.path)
    #expect(sockets.count == 2)
    for loopback in Loopback.allCases { #expect(Socket.canConnect(loopback, port: number)) }
    for socket in sockets { socket.end() }
    for loopback in Loopback.allCases { #expect(!Socket.canConnect(loopback, port: number)) }
  }

  @Test(arguments: Loopback.allCases)
  func aPortThatIsInUseOnOneAddressIsRefused(loopback: Loopback) throws {
    let number = try freePort()
    let holder = FileDescriptorBox(try Socket.listen(loopback, port: number))
    let port = try #require(Port(number))
    #expect(throws: SubmitError.busy(port, on: Host.name)) {
      try SubmitSocket.bind(port, stateDirectory: scratch.path)
    }
    withExtendedLifetime(holder) {}
  }

  @Test func aFreePortIsFreeOnBothAddresses() throws {
    let chosen = try (0..<8).map { _ in try SubmitSocket.bindFree() }
    #expect(Set(chosen.map(\.0)).count == 8)
    for (port, sockets) in chosen {
      #expect(sockets.count == 2)
      for socket in sockets {
        #expect(try Socket.localAddress(of: socket.descriptor.raw).port == port.number)
        #expect(Socket.isListening(socket.descriptor.raw))
      }
    }
  }

  @Test func aPathIsASocketThatIsTheUsersAlone() throws {
    let socket = try SubmitSocket.bind(path: path)
    let found = try attributes(path)
    #expect(found.st_mode & S_IFMT == S_IFSOCK)
    #expect(found.st_mode & 0o777 == 0o600)
    #expect(Socket.canConnect(unix: path))
    socket.end()
    #expect(scratch.names() == [])
  }

  @Test func aSocketThatACrashHasLeftIsReplaced() throws {
    do { _ = FileDescriptorBox(try listenUnix(path)) }
    #expect(eventually { SocketFile.isLeftOver(path) })
    let old = try attributes(path).st_ino
    let socket = try SubmitSocket.bind(path: path)
    #expect(Socket.canConnect(unix: path))
    #expect(try attributes(path).st_mode & 0o777 == 0o600)
    socket.end()
    #expect(scratch.names() == [], "the new one, not \(old)")
  }

  @Test func aSocketInUseIsKept() throws {
    let holder = FileDescriptorBox(try listenUnix(path))
    #expect(throws: SubmitError.taken(path: path)) { try SubmitSocket.bind(path: path) }
    #expect(Socket.canConnect(unix: path))
    withExtendedLifetime(holder) {}
  }

  @Test func aFileIsNoSocketAndIsKept() throws {
    try scratch.write("precious", to: "web.sock")
    let error = #expect(throws: SubmitError.self) { try SubmitSocket.bind(path: path) }
    #expect(error == .taken(path: path))
    #expect(error?.description.contains("'\(path)'") == true)
    #expect(try scratch.read("web.sock") == "precious")
  }

  @Test func aPlaceThatOthersCanChangeIsNone() throws {
    let open = scratch.path + "/open"
    let path = open + "/mine/web.sock"
    try Directory.createPath(open + "/mine")
    let exposed = SubmitError.exposed(
      path: path, directory: try realPath(open), why: "others may write to it and it is not sticky")
    for mode: mode_t in [0o720, 0o702, 0o777] {
      unsafe chmod(open, mode)
      #expect(throws: exposed) { try SubmitSocket.bind(path: path) }
      #expect(throws: exposed) { try SubmitSocket.verify(path: path) }
    }
    #expect(exposed.description.contains("'\(path)'"))
    for mode: mode_t in [0o1777, 0o755] {
      unsafe chmod(open, mode)
      try SubmitSocket.verify(path: path)
      try SubmitSocket.bind(path: path).end()
    }
  }

  @Test func aLinkIsNotFollowed() throws {
    try scratch.makeLink("web.sock", to: scratch.path + "/elsewhere")
    #expect(throws: SubmitError.taken(path: path)) { try SubmitSocket.bind(path: path) }
    #expect(scratch.names() == ["web.sock"])
  }

  @Test(.enabled(if: isRoot, "giving a socket away needs root"))
  func aLeftOverSocketOfAnotherUserIsKept() throws {
    do { _ = FileDescriptorBox(try listenUnix(path)) }
    try scratch.setOwner(stranger, of: "web.sock")
    #expect(throws: SubmitError.taken(path: path)) { try SubmitSocket.bind(path: path) }
    #expect(scratch.names() == ["web.sock"])
  }

  @Test func withoutItsDirectoryThereIsNoSocket() {
    let path = scratch.path + "/none/web.sock"
    #expect(throws: SubmitError.unplaced(path: path, SystemError("bind \(path)", ENOENT))) {
      try SubmitSocket.bind(path: path)
    }
  }

  @Test func aSocketThatTookItsPlaceIsKeptAtTheEnd() throws {
    let socket = try SubmitSocket.bind(path: path)
    _ = unsafe unlink(path)
    let other = FileDescriptorBox(try listenUnix(path))
    socket.end()
    #expect(Socket.canConnect(unix: path))
    withExtendedLifetime(other) {}
  }
}

@Suite struct SubmitEndsTests {
  private let scratch: Scratch
  private let ends: SubmitEnds

  init() throws {
    scratch = try Scratch()
    ends = SubmitEnds(stateDirectory: scratch.path)
  }

  private func freeEnd() throws -> Endpoint { .port(try #require(Port(try freePort()))) }

  @Test func anEndIsHeldUntilItIsReleased() throws {
    let end = try freeEnd()
    let port = try #require(end.port).number
    #expect(!ends.contains(end) && ends.descriptors(of: end) == [])
    #expect(try ends.claim(end) == end)
    #expect(ends.contains(end) && !isFree(port))
    let held = ends.descriptors(of: end)
    #expect(held.count == 2)
    #expect(try ends.claim(end) == end)
    #expect(ends.descriptors(of: end) == held)
    ends.release(end)
    #expect(!ends.contains(end))
    #expect(eventually { isFree(port) })
    ends.release(end)
  }

  @Test func aFreeEndIsHeldByTheNameOfItsPort() throws {
    let first = try ends.claim(.free)
    let second = try ends.claim(.free)
    #expect(first.port != nil && first != second)
    #expect(!ends.contains(.free))
    #expect(ends.contains(first) && ends.contains(second))
    #expect(try ends.claim(first) == first)
  }

  @Test func aPathIsHeldAndItsFileRemovedAtTheEnd() throws {
    let end = Endpoint.path(scratch.path + "/web.sock")
    #expect(try ends.claim(end) == end)
    #expect(ends.descriptors(of: end).count == 1)
    ends.release(end)
    #expect(scratch.names() == [])
  }

  @Test func whatSrunHasBoundIsAdopted() throws {
    let port = try #require(Port(try freePort()))
    for loopback in Loopback.allCases {
      try ends.adopt(try Socket.listen(loopback, port: port.number).release())
    }
    #expect(try ends.claim(.port(port)) == .port(port))
    #expect(ends.descriptors(of: .port(port)).count == 2)
    ends.release(.port(port))
    #expect(eventually { isFree(port.number) })
  }

  @Test func whatCannotBeClaimedIsNotHeld() throws {
    let end = try freeEnd()
    let port = try #require(end.port)
    let holder = FileDescriptorBox(try Socket.listen(.v6, port: port.number))
    #expect(throws: SubmitError.busy(port, on: Host.name)) { try ends.claim(end) }
    #expect(!ends.contains(end))
    withExtendedLifetime(holder) {}
  }

  @Test func allCanBeReleasedAtOnce() throws {
    let held = [
      try ends.claim(try freeEnd()), try ends.claim(.free),
      try ends.claim(.path(scratch.path + "/web.sock")),
    ]
    ends.releaseAll()
    #expect(held.allSatisfy { !ends.contains($0) })
    #expect(scratch.names() == [])
    #expect(eventually { held.compactMap(\.port).allSatisfy { isFree($0.number) } })
  }
}
