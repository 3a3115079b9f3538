// All forwards of one step: what was asked for, the links that carry it, and the relay that serves
// it. Knows nothing of srun, of commands, or of how long it lives.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class Tunnel {
  /// Milliseconds before a node is asked again why it refuses connections.
  private static let lookPause = 1000

  private let loop: EventLoop
  private let record: Record
  private let settings: Settings
  private let ends: SubmitEnds
  private weak var observer: (any TunnelObserver)?
  let relay: Relay
  private let links: Links
  private(set) var grants: [Grant] = []
  /// As they were when a SOCKS client first asked for a host that no node is named by.
  private lazy var knownHosts = KnownHosts.own
  /// Ports of forwards that failed and that somebody may still count on: nobody else gets them.
  var keptPorts: Set<Port> = [] { didSet { settleEnds() } }

  /// - Parameters:
  ///   - ends: with what srun has claimed
  ///   - observer: told what happens
  init(
    _ loop: EventLoop, _ record: Record, _ settings: Settings, _ ends: SubmitEnds,
    observer: any TunnelObserver
  ) throws(SystemError) {
    self.loop = loop
    self.record = record
    self.settings = settings
    self.ends = ends
    self.observer = observer
    if settings.access != .host { try PeerLookup.verify() }
    relay = try Relay(
      loop, access: settings.access, owner: getuid(), patience: settings.timeout * 1000,
      log: { [record] in record.log($0) })
    links = Links(loop, record, settings)
    relay.observer = self
    links.observer = self
  }

  /// Empty while the job has not started.
  var nodes: [NodeName] { links.nodes }

  var routes: [Route] { grants.flatMap(\.routes) }

  /// Whether every link is up.
  var isUp: Bool { !nodes.isEmpty && links.areUp }

  /// ssh's process id, to the first node that has one.
  var process: pid_t? { links.first(\.process) }

  /// The way that ssh takes to the first node that has one.
  var transport: Transport? { links.first(\.transport) }

  /// Why the bytes of a node go through srun's own I/O.
  var detour: String? { links.first(\.detour) }

  /// Why there is no way to a node, as the first that has none was heard last; `nil` when nothing was.
  var complaint: String? { links.first(\.complaint) }

  /// The way to a node, while there is one.
  func link(to node: NodeName) -> Link? { links[node] }

  // MARK: What is asked for

  /// Opens forwards, now or when the job starts.
  ///
  /// - Parameters:
  ///   - patience: milliseconds after which they have failed; `nil`: it is tried for ever
  ///   - report: told `waiting`, `bound` and in the end `ready` or `failed`; again after the job
  ///     started anew
  @discardableResult
  func open(
    _ spec: TunnelSpec, patience: Int?, report: @escaping (KeeperReport) -> Void
  ) -> Grant {
    let grant = Grant(spec, patience: patience, report: report)
    grants.append(grant)
    if nodes.isEmpty {
      hold(grant)
    } else {
      serve(grant)
    }
    observer?.tunnelChanged()
    return grant
  }

  /// Holds the submit ends of forwards that lead nowhere yet, and chooses those that may be chosen.
  private func hold(_ grant: Grant) {
    if let twice = submitEnds(grant.spec).first(where: { isTaken($0, besides: grant) }) {
      return fail(grant, "'\(twice)' is there already: see spunnelctl status")
    }
    var held: [ForwardRequest] = []
    do throws(SubmitError) {
      for request in grant.spec.forwards {
        guard request.kind != .remote else {
          held.append(request)
          continue
        }
        switch request.listen {
        case .port, .path:
          for end in submitEnds(TunnelSpec(forwards: [request])) { _ = try ends.claim(end) }
        // Of a forward to every node it is not known yet how many it wants.
        case .any where request.host != .all:
          if case .port(let port) = try ends.claim(.free) {
            held.append(request.listening(on: port))
            continue
          }
        default: break
        }
        held.append(request)
      }
      grant.spec = TunnelSpec(forwards: held)
      grant.report(.waiting(grant.spec))
    } catch {
      // What was chosen by now is given back as well.
      grant.spec = TunnelSpec(forwards: held)
      fail(grant, "\(error)")
    }
  }

  /// The submit ends that are known whatever the nodes are.
  private func submitEnds(_ spec: TunnelSpec) -> [Endpoint] {
    // One that cannot be is told when the job starts.
    let paths = (try? spec.paths(known: record.step)) ?? []
    return spec.ports.map { .port($0) } + paths.map { .path($0) }
  }

  /// Whether forwards that were asked for apart from these have a submit end.
  private func isTaken(_ end: Endpoint, besides grant: Grant) -> Bool {
    grants.contains { other in
      other !== grant
        && (submitEnds(other.spec).contains(end)
          || other.routes.contains { $0.forward.kind != .remote && $0.forward.listen == end })
    }
  }

  private var facts: StepFacts {
    // As where a path is known before the nodes are (PathPattern).
    let namesUser = grants.contains { $0.spec.description.mentions("%u") }
    let user = namesUser ? PathFacts.ownUser : ""
    return StepFacts(step: record.step, nodes: nodes, user: user)
  }

  private func serve(_ grant: Grant) {
    do throws(SpecError) {
      let planned = try grant.spec.plan(facts, anywhere: settings.targets == .any)
      let taken = Set(routes.compactMap(\.forward.place))
      let twice = planned.joined().first { $0.place.map(taken.contains) ?? false }
      if let twice {
        return fail(grant, "'\(twice.listen)' is there already: see spunnelctl status")
      }
      do throws(SubmitError) { try bind(grant, planned) } catch { return fail(grant, "\(error)") }
      if let back = routes.first(where: { $0.forward.kind == .remote && leadsBack($0.forward) }) {
        return fail(
          grant,
          "'\(back.forward)' would lead back to where this tunnel itself listens: take another port"
        )
      }
    } catch { return fail(grant, "\(error)") }
    grant.report(.bound(grant.routes.map(\.forward)))
    connect(grant)
  }

  /// Whether what comes from a node would enter the tunnel again.
  private func leadsBack(_ forward: Forward) -> Bool {
    forward.host.isLoopback && linkIsOwn(forward.connect)
  }

  private func bind(_ grant: Grant, _ planned: [[Forward]]) throws(SubmitError) {
    var bound: [[Forward]] = []
    for list in planned {
      var done: [Forward] = []
      for var forward in list {
        if forward.kind != .remote { forward.listen = try ends.claim(forward.listen) }
        grant.routes.append(Route(forward))
        done.append(forward)
      }
      bound.append(done)
    }
    grant.spec = grant.spec.pinned(to: bound)
    do throws(SystemError) {
      for route in grant.routes where route.forward.kind != .remote {
        for raw in ends.descriptors(of: route.forward.listen) { try relay.add(raw, route) }
      }
    } catch { throw .system(error) }
  }

  private func connect(_ grant: Grant) {
    var byNode: [NodeName: [Route]] = [:]
    for route in grant.routes { byNode[route.forward.node, default: []].append(route) }
    grant.unopened = byNode.count
    for (node, routes) in byNode {
      // One may fail at once, and with it all of them.
      guard grants.contains(where: { $0 === grant }) else { return }
      let link = links.link(to: node)
      link.add(routes, patience: grant.patience) { [weak self, weak grant] outcome in
        if let self, let grant { self.opened(grant, outcome) }
      }
    }
  }

  private func opened(_ grant: Grant, _ outcome: Cargo.Outcome) {
    guard grants.contains(where: { $0 === grant }) else { return }
    switch outcome {
    case .failed(let reason): fail(grant, reason)
    case .ready:
      grant.unopened -= 1
      if grant.unopened > 0 { return }
      // Somebody waited for the first time only; after that it is kept like any other.
      grant.patience = nil
      observer?.tunnelChanged()
      grant.report(.ready(grant.routes.map(\.forward)))
    }
  }

  private func fail(_ grant: Grant, _ reason: String) {
    record.log("\(grant.spec): \(reason)")
    drop(grant)
    observer?.tunnelChanged()
    // Whoever hears of it may keep the ports (`keptPorts`).
    grant.report(.failed(reason))
    settleEnds()
  }

  /// All that was asked for has failed, for one reason.
  func fail(_ reason: String) {
    for grant in grants { fail(grant, reason) }
  }

  /// Gives forwards up: their connections are cut, their ports are free.
  func close(_ grant: Grant) {
    guard grants.contains(where: { $0 === grant }) else { return }
    drop(grant)
    settleEnds()
    observer?.tunnelChanged()
  }

  private func drop(_ grant: Grant) {
    grants.removeAll { $0 === grant }
    for route in grant.routes { withdraw(route) }
    grant.routes = []
  }

  /// Keeps the submit ends that a forward has or waits for, and gives up all others. No other place does.
  private func settleEnds() {
    let bound = routes.filter { $0.forward.kind != .remote }.map(\.forward.listen)
    ends.keep(Set(grants.flatMap { submitEnds($0.spec) } + bound), resting: keptPorts)
  }

  private func withdraw(_ route: Route) {
    relay.remove(route)
    links.remove(route)
    let isLast = !routes.contains { $0.isSocksEntrance && $0 !== route }
    if route.isSocksEntrance && isLast { links.forgetVisits() }
  }

  /// Removes what listens on the nodes by its path, before the end.
  ///
  /// - Parameter done: told once
  func removeSockets(_ done: @escaping () -> Void) { links.removeSockets(done) }

  /// Gives up the forwards that listen where these would.
  ///
  /// - Returns: what was given up, and those of the spec that there were none of
  func close(matching spec: TunnelSpec) -> (closed: [ForwardRequest], missing: [ForwardRequest]) {
    var (closed, missing): ([ForwardRequest], [ForwardRequest]) = ([], [])
    for request in spec.forwards {
      var found = false
      for grant in grants {
        guard let matched = grant.match(request, facts: facts) else { continue }
        found = true
        closed += matched.named
        for route in matched.routes { withdraw(route) }
        grant.routes.removeAll { route in matched.routes.contains { $0 === route } }
        grant.spec = matched.rest
        if grant.spec.forwards.isEmpty || (!nodes.isEmpty && grant.routes.isEmpty) { drop(grant) }
      }
      if !found { missing.append(request) }
    }
    settleEnds()
    observer?.tunnelChanged()
    return (closed, missing)
  }

  // MARK: The job

  /// The job runs on these nodes.
  func run(on nodes: [NodeName]) {
    if nodes == self.nodes { return }
    standBy()
    links.start(on: nodes)
    for grant in grants { serve(grant) }
    observer?.tunnelChanged()
  }

  /// The job does not run: the submit ends are kept as far as they will be the same, everything else
  /// goes.
  func standBy() {
    if nodes.isEmpty { return }
    for route in routes { relay.remove(route) }
    links.stop()
    for grant in grants { grant.routes = [] }
    // Free ports of a forward to every node have no port of their own to keep, and a path may be another one on
    // another node.
    settleEnds()
    for grant in grants { hold(grant) }
    observer?.tunnelChanged()
  }

  /// Ends everything and waits for it, a bounded time; the ports first: whoever waits for them need not
  /// wait for ssh.
  func stop() {
    relay.close()
    ends.releaseAll()
    links.stop()
    links.finish()
  }

  // MARK: Links

  /// To be called whenever something has changed in the record.
  func look() { links.look() }

  /// To be called whenever a child may have ended.
  func reap() { links.reap() }

  /// Finds out whether anything listens at the far ends.
  ///
  /// - Parameter done: told once
  func probe(_ done: @escaping () -> Void) { links.probe(done) }
}

extension Tunnel: LinkObserver {
  func linkIsUp(_ link: Link) {
    relay.serveWaiting()
    observer?.tunnelChanged()
  }

  func linkIsLost(_ link: Link) {
    relay.cut(link.node)
    observer?.tunnelChanged()
    observer?.tunnelIsCut()
  }

  func linkMissesJob(_ link: Link) { observer?.tunnelMissesJob() }

  func linkIsAwaited(_ link: Link) -> Bool { relay.isAwaited(link.node) }

  func linkIsOwn(_ end: Endpoint) -> Bool { !ends.descriptors(of: end).isEmpty }
}

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
    // A page that is loaded again and again asks no node as often.
    if let looked = route.looked, Clock.milliseconds() - looked < Tunnel.lookPause { return }
    route.looked = Int.max
    link.look(at: route.forward, far) { [weak self] found in
      // Somebody was answered meanwhile.
      if route.looked == nil { return }
      (route.looked, route.far) = (Clock.milliseconds(), found)
      self?.observer?.tunnelChanged()
    }
  }

  func relayResolves(_ host: HostName, _ port: Port, for route: Route) -> Route? {
    // The nodes by their names: what listens on their loopback addresses alone is reached as well.
    let node = nodes.place(of: host) { knownHosts }.map { nodes[$0] }
    if node == nil && !host.isLoopback && settings.targets != .any { return nil }
    return links.visit(
      Forward(
        .dynamic, node: node ?? route.forward.node, listen: route.forward.listen,
        host: node == nil && !host.isLoopback ? host : .localhost, connect: .port(port)))
  }
}
