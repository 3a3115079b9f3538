// What the relay asks of its tunnel: ways to services, and the meaning of their answers.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

extension Tunnel: RelayObserver {
  func relayChanged() { observer?.tunnelCounted() }

  func relayConnects(_ route: Route) throws(SystemError) -> FileDescriptor? {
    try links[route.forward.node]?.connect(route)
  }

  func relayAsksIfCut(_ route: Route, _ end: ServiceEnd, _ answer: @escaping (Bool) -> Void) {
    guard let link = links[route.forward.node] else { return answer(true) }
    link.askIfCut(end, answer)
  }

  func relayIsAnswered(_ route: Route, with answer: UInt64) {
    let spoken = SpokenProtocol(beginning: answer) ?? route.spoken
    route.looked = nil
    if route.far == .listening, route.spoken == spoken { return }
    (route.far, route.spoken) = (.listening, spoken)
    observer?.tunnelChanged()
  }

  func relayEndedUnanswered(_ route: Route, _ end: PumpEnd) {
    guard end == .unanswered, let link = links[route.forward.node], let far = link.takeRefusal()
    else { return }
    // A page that is reloaded often must not ask the node each time.
    if let looked = route.looked, Clock.milliseconds() - looked < Tunnel.lookPause { return }
    route.looked = Int.max
    link.look(at: route.forward, far) { [weak self] found in
      // A connection was answered in the meantime.
      if route.looked == nil { return }
      (route.looked, route.far) = (Clock.milliseconds(), found)
      self?.observer?.tunnelChanged()
    }
  }

  func relayResolves(_ host: HostName, _ port: Port, for route: Route) -> Route? {
    // A node's own name leads to its localhost, so services that listen only on its loopback
    // addresses are reached as well.
    let node = nodes.place(of: host) { knownHosts }.map { nodes[$0] }
    if node == nil && !host.isLoopback && settings.targets != .any { return nil }
    return links.visit(
      Forward(
        .dynamic, node: node ?? route.forward.node, listen: route.forward.listen,
        host: node == nil && !host.isLoopback ? host : .localhost, connect: .port(port)))
  }
}
