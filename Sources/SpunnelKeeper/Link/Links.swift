// The links of one tunnel, by node: made when a forward wants one, ended with the last that does.

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
  /// Of the step, in Slurm's order; empty while the job has not started.
  private(set) var nodes: [NodeName] = []
  private var links: [NodeName: Link] = [:]
  /// Links without forwards that still remove sockets on their nodes.
  private var leaving: [Link] = []
  private var whenCleared: (() -> Void)?
  /// The way to each service that a SOCKS client named, the oldest first.
  private var visited: [Route] = []

  init(_ loop: EventLoop, _ record: Record, _ settings: Settings) {
    self.loop = loop
    self.record = record
    self.settings = settings
    endings = Endings(loop)
  }

  subscript(node: NodeName) -> Link? { links[node] }

  /// Whether every link that was asked for is up, whatever SOCKS clients want besides.
  var areUp: Bool { links.values.allSatisfy { $0.isUp || !$0.isAskedFor } }

  /// What the first node that has it tells.
  func first<Value>(_ property: KeyPath<Link, Value?>) -> Value? {
    nodes.lazy.compactMap { self.links[$0]?[keyPath: property] }.first
  }

  /// The job runs on these nodes.
  func start(on nodes: [NodeName]) { self.nodes = nodes }

  /// Ends them all, without waiting.
  func stop() {
    for link in links.values { link.stop() }
    for link in leaving { link.stop() }
    (links, leaving) = ([:], [])
    visited = []
    nodes = []
  }

  /// Waits for the end of all that were stopped, a bounded time.
  func finish() { endings.finish() }

  /// The link to a node of the step.
  func link(to node: NodeName) -> Link {
    if let link = links[node] { return link }
    let number = nodes.firstIndex(of: node) ?? 0
    let link = Link(
      loop, node, number: number, record, settings, endings, arrivals, observer: observer)
    links[node] = link
    return link
  }

  /// Gives a forward up, and the link to its node with the last one.
  func remove(_ route: Route) {
    guard let link = links[route.forward.node] else { return }
    link.remove(route)
    if !link.isIdle { return }
    links[route.forward.node] = nil
    if link.clearing == 0 { return link.stop() }
    leaving.append(link)
    link.whenCleared = { [weak self] in self?.left() }
  }

  /// Stops those that have nothing left to do.
  private func left() {
    for link in leaving where link.clearing == 0 { link.stop() }
    leaving.removeAll { $0.clearing == 0 }
    if leaving.isEmpty, links.values.allSatisfy({ $0.clearing == 0 }) {
      let told = whenCleared
      whenCleared = nil
      told?()
    }
  }

  /// Removes what listens on the nodes by its path.
  ///
  /// - Parameter done: told once
  func removeSockets(_ done: @escaping () -> Void) {
    whenCleared = done
    for link in links.values {
      link.whenCleared = { [weak self] in self?.left() }
      link.removeSockets()
    }
    left()
  }

  /// The way to a service that a SOCKS client named.
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

  /// No more of these are to come. Connections that are there stay: their link does as well.
  private func forget(_ route: Route) {
    visited.removeAll { $0 === route }
    links[route.forward.node]?.remove(route)
  }

  /// Nobody speaks SOCKS any more: what was visited is given up.
  func forgetVisits() {
    let all = visited
    visited = []
    for route in all { remove(route) }
  }

  /// To be called whenever something has changed in the record.
  func look() { for link in links.values { link.look() } }

  /// To be called whenever a child may have ended.
  func reap() {
    endings.advance()
    for link in links.values { link.reap() }
    for link in leaving { link.reap() }
  }

  /// Finds out whether anything listens at the far ends.
  ///
  /// - Parameter done: told once
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
