// All forwards of one step: the requests, the links that carry them, and the relay that serves
// clients. It knows nothing about srun, command clients, or its own lifetime.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class Tunnel {
  /// Milliseconds before a node is asked again why it refuses connections.
  static let lookPause = 1000

  private let loop: EventLoop
  private let record: Record
  let settings: Settings
  private let ends: SubmitEnds
  weak var observer: (any TunnelObserver)?
  let relay: Relay
  let links: Links
  private(set) var grants: [Grant] = []
  /// The known hosts at the time when a SOCKS client first asked for a host that is not the name of
  /// a node.
  lazy var knownHosts = KnownHosts.own
  /// Ports of failed forwards on which a user may rely: no other process gets them.
  var keptPorts: Set<Port> = [] { didSet { settleEnds() } }

  /// Makes a tunnel without forwards.
  ///
  /// - Parameters:
  ///   - ends: the submit ends, including those that srun has claimed
  ///   - observer: called for each change
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

  /// The nodes of the step; empty while the job has not started.
  var nodes: [NodeName] { links.nodes }

  var routes: [Route] { grants.flatMap(\.routes) }

  /// Whether every link is up.
  var isUp: Bool { !nodes.isEmpty && links.areUp }

  /// ssh's process id, of the first node that has an ssh.
  var process: pid_t? { links.first(\.process) }

  /// The transport to the first node that has a link.
  var transport: Transport? { links.first(\.transport) }

  /// Why a node's bytes go through srun's own I/O; `nil` if none do.
  var detour: String? { links.first(\.detour) }

  /// Why a node cannot be reached, of the first such node; `nil` if no reason is known.
  var complaint: String? { links.first(\.complaint) }

  /// The link to a node; `nil` while there is none.
  func link(to node: NodeName) -> Link? { links[node] }

  // MARK: Requests

  /// Opens forwards, now or when the job starts.
  ///
  /// - Parameters:
  ///   - spec: the forwards
  ///   - patience: milliseconds after which they have failed; `nil`: it tries for ever
  ///   - report: called with `waiting`, `bound`, and at the end `ready` or `failed`; again after
  ///     the job has restarted
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

  /// Claims the submit ends of forwards while the job has not started, and chooses free ports where
  /// the request allows it.
  private func hold(_ grant: Grant) {
    if let twice = submitEnds(grant.spec).first(where: { isTaken($0, besides: grant) }) {
      return fail(grant, "'\(twice)' is open already: see spunnelctl status")
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
        // The number of ports for a forward to every node is not known yet.
        case .any where !request.isForAll:
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
      // The submit ends that were chosen so far are released too.
      grant.spec = TunnelSpec(forwards: held)
      fail(grant, "\(error)")
    }
  }

  /// The submit ends that do not depend on the nodes.
  private func submitEnds(_ spec: TunnelSpec) -> [Endpoint] {
    // An invalid path is reported when the job starts.
    let paths = (try? spec.paths(known: record.step)) ?? []
    return spec.ports.map { .port($0) } + paths.map { .path($0) }
  }

  /// Whether another grant has this submit end.
  private func isTaken(_ end: Endpoint, besides grant: Grant) -> Bool {
    grants.contains { other in
      other !== grant
        && (submitEnds(other.spec).contains(end)
          || other.routes.contains { $0.forward.kind != .remote && $0.forward.listen == end })
    }
  }

  private var facts: StepFacts {
    // The user's name is needed only for `%u`, as in paths that are known before the nodes
    // (PathPattern).
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
        return fail(grant, "'\(twice.listen)' is open already: see spunnelctl status")
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

  /// Whether a connection from the node would enter the tunnel again.
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
      // A link may fail at once, and then the whole grant has failed.
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
      // The requester waited for the first time only. From now on the grant is tried for ever.
      grant.patience = nil
      observer?.tunnelChanged()
      grant.report(.ready(grant.routes.map(\.forward)))
    }
  }

  private func fail(_ grant: Grant, _ reason: String) {
    record.log("\(grant.spec): \(reason)")
    drop(grant)
    observer?.tunnelChanged()
    // The observer of this report may keep the ports (`keptPorts`), so it comes before
    // `settleEnds`.
    grant.report(.failed(reason))
    settleEnds()
  }

  /// Fails all grants for the same reason.
  func fail(_ reason: String) {
    for grant in grants { fail(grant, reason) }
  }

  /// Closes forwards: their connections are cut and their ports released.
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

  /// Keeps the submit ends that a grant has or waits for, and releases all others. Only this
  /// function releases single ends.
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

  /// Removes the unix sockets on the nodes, before the tunnel ends.
  ///
  /// - Parameter done: called once
  func removeSockets(_ done: @escaping () -> Void) { links.removeSockets(done) }

  /// Closes the forwards that have the same submit ends as the spec.
  ///
  /// - Returns: the closed forwards, and those of the spec that do not exist
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

  /// Starts the forwards on the nodes of the job.
  func run(on nodes: [NodeName]) {
    if nodes == self.nodes { return }
    standBy()
    links.start(on: nodes)
    for grant in grants { serve(grant) }
    observer?.tunnelChanged()
  }

  /// Waits for the job to run again. The submit ends that will be the same are kept; everything
  /// else is closed.
  func standBy() {
    if nodes.isEmpty { return }
    for route in routes { relay.remove(route) }
    links.stop()
    for grant in grants { grant.routes = [] }
    // Ports chosen for a forward to every node are not kept. A path may differ on another node.
    settleEnds()
    for grant in grants { hold(grant) }
    observer?.tunnelChanged()
  }

  /// Stops the tunnel and waits a bounded time. The ports are released first, so that a process
  /// that waits for them does not wait for ssh.
  func stop() {
    relay.close()
    ends.releaseAll()
    links.stop()
    links.finish()
  }

  // MARK: Links

  /// Looks for new control sockets. To be called whenever something has changed in the record.
  func look() { links.look() }

  /// Reaps children that have ended. To be called whenever a child may have ended.
  func reap() { links.reap() }

  /// Finds out whether anything listens at the far ends.
  ///
  /// - Parameter done: called once
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
