// The submit ports: both loopback addresses or none, held until released.

import Glibc
import SpunnelSystem
import Testing

@testable import Spunnel
@testable import SpunnelSlurm
@testable import SpunnelTunnel

@Suite struct ClaimTests {
  private let scratch: Scratch
  private let settings: Settings

  init() throws {
    scratch = try Scratch()
    settings = try Settings(arguments: ["state_dir=\(scratch.path)"])
  }

  private func spec(_ ports: UInt16...) throws -> TunnelSpec {
    try TunnelSpec(ports.map { "\($0):80" }.joined(separator: ","))
  }

  private func expectBusy(_ port: UInt16, at location: SourceLocation = #_sourceLocation) {
    for loopback in Loopback.allCases {
      #expect(
        throws: SystemError("bind \(loopback.name):\(port)", EADDRINUSE), sourceLocation: location
      ) { _ = try Socket.listen(loopback, port: port) }
    }
  }

  private func expectFree(_ port: UInt16, at location: SourceLocation = #_sourceLocation) {
    #expect(eventually { isFree(port) }, sourceLocation: location)
  }

  @Test func everyPortIsBoundOnBothAddressesAndFreedAtTheEnd() throws {
    let ports = [try freePort(), try freePort()]
    do {
      let claim = try Claim(try spec(ports[0], ports[1]), settings)
      #expect(claim.sockets.count == 4)
      for port in ports {
        expectBusy(port)
        for loopback in Loopback.allCases { _ = try connectLoopback(port, loopback) }
      }
      #expect(claim.spec.forwards.count == 2)
    }
    for port in ports { expectFree(port) }
  }

  @Test func thePortsAreListeningSoThatNobodyElseCanListen() throws {
    let port = try freePort()
    let claim = try Claim(try spec(port), settings)
    for socket in claim.sockets { #expect(Socket.isListening(socket.descriptor.raw)) }
  }

  /// Whether a child that is forked now has a copy.
  private func isInherited(_ descriptor: CInt) throws -> Bool {
    switch try Process.fork() {
    case .child: _exit(fcntl(descriptor, F_GETFD) < 0 ? 0 : 1)
    case .parent(let child):
      var fate = Process.Fate.running
      #expect(
        eventually {
          fate = Process.poll(child)
          return fate != .running
        })
      return fate != .ended(0)
    }
  }

  @Test func noForkHasACopyThatWouldKeepThePort() throws {
    let claim = try Claim(try spec(try freePort()), settings)
    for socket in claim.sockets { #expect(try !isInherited(socket.descriptor.raw)) }
    let other = try FileDescriptor.open("/dev/null", O_RDWR)
    #expect(try isInherited(other.raw))
    other.withholdFromForks(true)
    #expect(try !isInherited(other.raw))
    other.withholdFromForks(false)
    #expect(try isInherited(other.raw))
  }

  @Test(arguments: Loopback.allCases)
  func oneBusyAddressIsEnoughToBeRefusedAndNothingIsKept(loopback: Loopback) throws {
    let (first, second) = (try freePort(), try freePort())
    do {
      let holder = try Socket.listen(loopback, port: second)
      #expect(throws: SubmitError.busy(try #require(Port(second)), on: Host.name)) {
        _ = try Claim(try spec(first, second), settings)
      }
      #expect(holder.raw >= 0)
    }
    expectFree(first)
    expectFree(second)
  }

  @Test func aPortOfOnesOwnTunnelIsNamedWithItsJob() throws {
    let number = try freePort()
    let port = try #require(Port(number))
    let step = StepName(job: 17, step: 0xffff_fffa)
    let holder = try Claim(try spec(number), settings)
    let record = try Record.create(step, in: scratch.path, user: getuid())
    try record.write(
      HostFile(nodes: try nodes(), forwards: try forwards(holder.spec.description)))
    let error = #expect(throws: SubmitError.self) { _ = try Claim(try spec(number), settings) }
    #expect(error == .own(port, step))
    #expect(error?.description.contains("job 17, step interactive") == true)
    record.remove()
  }

  @Test func aPortWithConnectionsInTimeWaitCanBeClaimedAgain() throws {
    let port = try freePort()
    for _ in 0..<2 {
      let claim = try Claim(try spec(port), settings)
      let client = try End(try connectLoopback(port))
      // The server's side closes first, so that it is the one in TIME-WAIT.
      let listener = try #require(claim.sockets.first).descriptor.raw
      _ = try Socket.accept(from: listener)
      #expect(
        eventually {
          client.receive()
          return client.sawEnd
        })
    }
  }

  /// A claim of a socket and a port, which is free again whatever comes of it.
  private func claim(_ path: String) throws {
    let port = try freePort()
    defer { expectFree(port) }
    _ = try Claim(try TunnelSpec("\(port):80,\(path):80"), settings)
  }

  @Test func whatIsInASocketsPlaceIsToldAtOnceAndStays() throws {
    let path = scratch.path + "/web%%.sock"
    let file = scratch.path + "/web%.sock"
    try claim(path)
    #expect(scratch.names() == [], "it is not bound yet")
    try scratch.write("precious", to: "web%.sock")
    #expect(throws: SubmitError.taken(path: file)) { try claim(path) }
    #expect(try scratch.read("web%.sock") == "precious")
    _ = unsafe unlink(file)
    do {
      let holder = try listenUnix(file)
      #expect(throws: SubmitError.taken(path: file)) { try claim(path) }
      #expect(holder.raw >= 0 && Socket.canConnect(unix: file))
    }
    // What a crash has left is in nobody's way, and is replaced when it is bound.
    #expect(eventually { SocketFile.isLeftOver(file) })
    try claim(path)
    #expect(scratch.names() == ["web%.sock"])
  }

  @Test func aSocketThatHasNoPlaceIsToldAtOnceWithTheSameWords() throws {
    try scratch.write("", to: "file")
    for (name, code) in [("none", ENOENT), ("file", ENOTDIR)] {
      let path = "\(scratch.path)/\(name)/web.sock"
      let error = SubmitError.unplaced(path: path, SystemError("bind \(path)", code))
      #expect(throws: error) { try claim(path) }
      #expect(throws: error) { try SubmitSocket.bind(path: path) }
    }
  }

  @Test(.enabled(if: !isRoot, "root may write anywhere"))
  func aDirectoryThatIsNotWritableIsToldAtOnce() throws {
    try scratch.makeDirectory("closed", mode: 0o500)
    let path = scratch.path + "/closed/web.sock"
    #expect(throws: SubmitError.unplaced(path: path, SystemError("bind \(path)", EACCES))) {
      try claim(path)
    }
  }

  @Test(.enabled(if: PathFacts.ownUser.utf8.count > 2, "the user's name is too short"))
  func aPathThatIsTooLongWithTheUsersNameIsToldAtOnce() throws {
    let path = "/tmp/" + String(repeating: "x", count: 100) + "%u"
    let error = SpecError.noPath(
      text: path, forward: "\(path):80", why: "it is longer than 107 bytes")
    #expect(throws: SubmitError.spec(error)) { try claim(path) }
  }

  @Test(arguments: ["%j", "%s", "%n"])
  func aPathThatNeedsTheJobIsNotLookedAt(pattern: String) throws {
    try claim("\(scratch.path)/none/\(pattern)")
  }

  @Test func aSocketOfTheNodeIsNotLookedAt() throws {
    let port = try freePort()
    try scratch.write("", to: "file")
    let file = scratch.path + "/file"
    _ = try Claim(try TunnelSpec("\(port):\(file),R:\(file):80"), settings)
  }

  @Test(arguments: [(8001, "8002:8000"), (65535, "65534:8000")] as [(UInt16, String)])
  func anotherPortIsProposed(port: UInt16, proposal: String) throws {
    let error = SubmitError.busy(try #require(Port(port)), on: "login")
    #expect(error.description.contains("port \(port) of login"))
    #expect(error.description.contains(proposal))
  }
}
