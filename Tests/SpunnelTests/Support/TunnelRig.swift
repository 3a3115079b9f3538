// A tunnel with real submit ports, shell scripts for ssh and fake masters behind them.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

final class TunnelRig: TunnelObserver {
  let loop: EventLoop
  let ssh: FakeSSH
  let ends: SubmitEnds
  /// The log.
  var lines: [String] { logged(ssh.record) }
  private(set) var cuts = 0
  /// Whether the ports of what fails are kept from others.
  var keepsPorts = false
  private var made: Tunnel?

  /// What became of forwards that were asked for together.
  final class Asked {
    fileprivate(set) var grant: Grant?
    fileprivate(set) var reports: [KeeperReport] = []

    /// The forwards of the last report, when it is that they are ready.
    var ready: [Forward]? {
      if case .ready(let forwards)? = reports.last { forwards } else { nil }
    }

    var failure: String? { if case .failed(let reason)? = reports.last { reason } else { nil } }

    /// The spec of the last report, when it is that it waits.
    var waiting: String? {
      if case .waiting(let spec)? = reports.last { spec.description } else { nil }
    }
  }

  /// - Parameter arguments: more of plugstack.conf's
  init(_ arguments: [String] = []) throws {
    loop = try EventLoop()
    ssh = try FakeSSH(arguments)
    ends = SubmitEnds(stateDirectory: ssh.scratch.path)
    made = try Tunnel(loop, ssh.record, ssh.settings, ends, observer: self)
  }

  deinit { made?.stop() }

  var tunnel: Tunnel {
    get throws { try #require(made) }
  }

  func tunnelChanged() {}
  func tunnelCounted() {}
  func tunnelIsCut() { cuts += 1 }
  func tunnelMissesJob() {}

  @discardableResult
  func open(_ spec: String, patience: Int? = 30_000) throws -> Asked {
    let asked = Asked()
    let spec = try TunnelSpec(spec)
    asked.grant = try tunnel.open(spec, patience: patience) { [weak self] in
      asked.reports.append($0)
      if case .failed = $0, self?.keepsPorts == true { self?.made?.keptPorts.formUnion(spec.ports) }
    }
    return asked
  }

  func run(_ names: String = "n1") throws { try tunnel.run(on: try nodes(names)) }

  func turn(_ clients: [End] = [], until condition: () throws -> Bool) throws -> Bool {
    try loop.turn {
      try work()
      for client in clients { client.work() }
      return try condition()
    }
  }

  func work() throws {
    try tunnel.reap()
    try tunnel.look()
    try ssh.work()
  }

  /// A client of a submit port.
  func client(_ forward: Forward?) throws -> End {
    try End(try connectLoopback(try #require(forward?.listen.port).number))
  }

  /// Expects that a client is served.
  func expectEcho(_ forward: Forward?, at location: SourceLocation = #_sourceLocation) throws {
    let client = try client(forward)
    client.send("echo")
    #expect(try turn([client]) { client.text == "echo" }, sourceLocation: location)
  }
}
