// The links of one tunnel, by node. A node's link is made with its first forward and stopped with
// its last.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class Links {
  private let loop: EventLoop
  private let record: Record
  private let settings: Settings
  private let endings: Endings
  private lazy var arrivals = Arrivals(loop, ports: SrunPorts.site()) { [record] in record.log($0) }
  weak var observer: (any LinkObserver)?
  /// The nodes of the step in Slurm's order; empty while the job has not started.
  private(set) var nodes: [NodeName] = []
  private var links: [NodeName: Link] = [:]
  /// Links without forwards that still remove sockets on their nodes.
  private var leaving: [Link] = []
  private var whenCleared: (() -> Void)?
  /// The routes to services that SOCKS clients named, the least recently used first.
  private var visited: [Route] = []

  init(_ loop: EventLoop, _ record: Record, _ settings: Settings) {
    self.loop = loop
    self.record = record
    self.settings = settings
    endings = Endings(loop)
  }

  subscript(node: NodeName) -> Link? { links[node] }

  /// Whether every link with requested forwards is up. Links that only SOCKS clients use do not
  /// count.
  var areUp: Bool { links.values.allSatisfy { $0.isUp || !$0.isAskedFor } }

  /// The property of the first node whose link has a value for it.
  func first<Value>(_ property: KeyPath<Link, Value?>) -> Value? {
    nodes.lazy.compactMap { self.links[$0]?[keyPath: property] }.first
  }

  /// Notes the nodes on which the job runs.
  func start(on nodes: [NodeName]) { self.nodes = nodes }

  /// Stops all links without waiting.
  func stop() {
    for link in links.values { link.stop() }
    for link in leaving { link.stop() }
    (links, leaving) = ([:], [])
    visited = []
    nodes = []
  }

  /// Waits a bounded time until all stopped ssh processes have ended.
  func finish() { endings.finish() }

  /// The link to a node of the step; made if it does not exist.
  func link(to node: NodeName) -> Link {
    if let link = links[node] { return link }
    let number = nodes.firstIndex(of: node) ?? 0
    let link = Link(
      loop, node, number: number, record, settings, endings, arrivals, observer: observer)
    links[node] = link
    return link
  }

  /// Closes a forward. The last forward of a node also stops the node's link.
  func remove(_ route: Route) {
    guard let link = links[route.forward.node] else { return }
    link.remove(route)
    if !link.isIdle { return }
    links[route.forward.node] = nil
    if link.clearing == 0 { return link.stop() }
    leaving.append(link)
    link.whenCleared = { [weak self] in self?.left() }
  }

  /// Stops the leaving links that have removed all their sockets.
  private func left() {
    for link in leaving where link.clearing == 0 { link.stop() }
    leaving.removeAll { $0.clearing == 0 }
    if leaving.isEmpty, links.values.allSatisfy({ $0.clearing == 0 }) {
      let told = whenCleared
      whenCleared = nil
      told?()
    }
  }

  /// Removes the tunnel's unix sockets on the nodes.
  ///
  /// - Parameter done: called once
  func removeSockets(_ done: @escaping () -> Void) {
    whenCleared = done
    for link in links.values {
      link.whenCleared = { [weak self] in self?.left() }
      link.removeSockets()
    }
    left()
  }

  /// The route to a service that a SOCKS client named; opened if it does not exist.
  func visit(_ forward: Forward) -> Route {
    if let index = visited.firstIndex(where: { $0.forward == forward }) {
      let known = visited.remove(at: index)
      visited.append(known)
      return known
    }
    let route = Route(forward)
    visited.append(route)
    link(to: forward.node).visit(route) { [weak self] in self?.forget(route) }
    if visited.count > Limits.visitedServices, let oldest = visited.first { forget(oldest) }
    return route
  }

  /// Takes no new connections to this service. Open connections stay, because the link stays.
  private func forget(_ route: Route) {
    visited.removeAll { $0 === route }
    links[route.forward.node]?.remove(route)
  }

  /// Closes all visited services, because no SOCKS entrance is left.
  func forgetVisits() {
    let all = visited
    visited = []
    for route in all { remove(route) }
  }

  /// Looks for new control sockets. To be called whenever something has changed in the record.
  func look() { for link in links.values { link.look() } }

  /// Reaps children that have ended. To be called whenever a child may have ended.
  func reap() {
    endings.advance()
    for link in links.values { link.reap() }
    for link in leaving { link.reap() }
  }

  /// Finds out whether anything listens at the far ends.
  ///
  /// - Parameter done: called once
  func probe(_ done: @escaping () -> Void) {
    var open = 1
    let finish = {
      open -= 1
      if open == 0 { done() }
    }
    for link in links.values where link.isUp {
      open += 1
      link.probe(finish)
    }
    finish()
  }
}
