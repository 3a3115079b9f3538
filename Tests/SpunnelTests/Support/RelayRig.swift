// A relay on real ports, with a tunnel that stands in and a fake master behind it.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelTunnel

struct RelayRig {
  let loop: EventLoop
  let scratch: Scratch
  let master: FakeMaster
  let tunnel = StandIn()
  let ports = HeldPorts()

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
    master = try FakeMaster(scratch)
  }
}

/// Tests that hold such a relay.
protocol RelaySuite {
  var rig: RelayRig { get }
}

extension RelaySuite {
  var loop: EventLoop { rig.loop }
  var scratch: Scratch { rig.scratch }
  var master: FakeMaster { rig.master }
  var tunnel: StandIn { rig.tunnel }

  func relay(
    _ access: Settings.Access = .owner, owner: uid_t = getuid(), patience: Int = 60_000
  ) throws -> Relay {
    let relay = try Relay(
      loop, access: access, owner: owner, patience: patience,
      log: { [tunnel] in tunnel.lines.append($0) })
    relay.observer = tunnel
    return relay
  }

  /// Opens a port of the kernel's choice, whose way there is not there yet.
  func open(_ relay: Relay, to exec: UInt16 = 8000) throws -> Route {
    let route = Route(try forward("\(try rig.ports.listen()):\(exec)"))
    try relay.add(try #require(rig.ports.sockets.last).raw, route)
    return route
  }

  /// Lets loop, ssh and clients work until the condition holds.
  func turn(_ clients: [End] = [], until condition: () -> Bool) throws -> Bool {
    try loop.turn {
      try master.work()
      for client in clients { client.work() }
      return condition()
    }
  }
}
