// Who owns the other end of a loopback connection: real sockets, two users.

import Glibc
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSystem

/// A connection, accepted.
private final class Accepted {
  let socket: AcceptedSocket
  init(_ socket: consuming AcceptedSocket) { self.socket = socket }
}

@Suite struct PeerLookupTests {
  private let lookup: Lookup

  private final class Lookup {
    var netlink: PeerLookup
    init() throws { netlink = try PeerLookup() }
  }

  private final class Server {
    let listener: FileDescriptor
    init(_ loopback: Loopback) throws { listener = try Socket.listen(loopback, port: 0) }

    func port() throws -> UInt16 { try Socket.localAddress(of: listener.raw).port }

    func accept() throws -> Accepted {
      var accepted: Accepted?
      _ = try eventually {
        if let socket = try Socket.accept(from: listener.raw) { accepted = Accepted(socket) }
        return accepted != nil
      }
      return try #require(accepted)
    }
  }

  init() throws { lookup = try Lookup() }

  private func owner(of connection: Accepted) throws -> PeerOwner {
    try lookup.netlink.owner(of: connection.socket)
  }

  @Test(arguments: Loopback.allCases)
  func oneselfIsRecognised(loopback: Loopback) throws {
    let server = try Server(loopback)
    let client = try connectLoopback(try server.port(), loopback)
    let connection = try server.accept()
    #expect(try owner(of: connection) == .user(getuid()))
    #expect(client.raw >= 0)
  }

  @Test(
    .enabled(if: isRoot, "a client of another user needs root"),
    arguments: [("127.0.0.1", .v4), ("::1", .v6), ("::ffff:127.0.0.1", .v4)] as [(String, Loopback)]
  )
  func anotherUserIsRecognised(address: String, loopback: Loopback) throws {
    let server = try Server(loopback)
    let helper = try Helper(
      "exec 3<>/dev/tcp/$1/$2; read -r line <&3", [address, String(try server.port())],
      as: stranger)
    let connection = try server.accept()
    #expect(try owner(of: connection) == .user(stranger))
    #expect(Process.poll(helper.child) == .running)
  }

  @Test(.enabled(if: isRoot, "a client of another user needs root"))
  func aPeerThatSentAndClosedIsNeverTakenForRoot() throws {
    let server = try Server(.v4)
    let helper = try Helper(
      "exec 3<>/dev/tcp/127.0.0.1/$1; echo x >&3", [String(try server.port())], as: stranger)
    #expect(helper.status() == 0)
    let connection = try server.accept()
    // Kernels before 6.17 no longer know whose it was.
    #expect([.unknown, .user(stranger)].contains(try owner(of: connection)))
  }

  @Test func aPeerThatIsGoneIsUnknown() throws {
    let server = try Server(.v4)
    let client = try End(try connectLoopback(try server.port()))
    let connection = try server.accept()
    client.reset()
    #expect(try eventually { try owner(of: connection) == .unknown })
  }

  @Test(arguments: Loopback.allCases)
  func aListenerOnThePeersPortIsNotTakenForThePeer(loopback: Loopback) throws {
    let server = try Server(loopback)
    let source = try freePort()
    let client = try End(try connectLoopback(try server.port(), loopback, from: source))
    let connection = try server.accept()
    client.reset()
    #expect(try eventually { try owner(of: connection) == .unknown })
    let impostor = try Socket.listen(loopback, port: source)
    #expect(try owner(of: connection) == .unknown)
    #expect(impostor.raw >= 0)
  }

  @Test(arguments: Loopback.allCases)
  func aPortThatSomebodyElseHasByNowIsNotThatOnes(loopback: Loopback) throws {
    let server = try Server(loopback)
    let source = try freePort()
    let first = try End(try connectLoopback(try server.port(), loopback, from: source))
    first.send("not theirs")
    first.reset()
    let second = try End(try connectLoopback(try server.port(), loopback, from: source))
    let left = try server.accept()
    let connection = try server.accept()
    #expect(try owner(of: left) == .unknown)
    #expect(try owner(of: connection) == .user(getuid()))
    second.reset()
  }

  @Test func oneLookupAnswersManyQuestions() throws {
    let server = try Server(.v4)
    for _ in 0..<200 {
      let client = try End(try connectLoopback(try server.port()))
      let connection = try server.accept()
      #expect(try owner(of: connection) == .user(getuid()))
      client.reset()
      #expect(try eventually { try owner(of: connection) == .unknown })
    }
  }

  @Test(arguments: Loopback.allCases)
  func onlyASocketThatItsProcessHasClosedIsClosed(loopback: Loopback) throws {
    let server = try Server(loopback)
    let client = try End(try connectLoopback(try server.port(), loopback))
    let connection = try server.accept()
    func isClosed() -> Bool {
      lookup.netlink.isClosed(peer: connection.socket.peer, local: connection.socket.local)
    }
    #expect(!isClosed())
    client.finish()
    #expect(eventually { (try? connection.socket.descriptor.read(atMost: 1)) == [] })
    // It may still read.
    #expect(!isClosed())
    client.close()
    #expect(isClosed())
  }

  @Test func aKernelThatTellsNothingIsFoundOut() throws {
    try PeerLookup.verify()
    // One that has no answers for this protocol says what one without tcp_diag says.
    let error = #expect(throws: SystemError.self) { try PeerLookup.verify(protocol: 253) }
    #expect(error?.operation.contains("tcp_diag") ?? false)
  }
}
