// Opens forwards on an ssh that has logged in. It asks ssh to listen for each, chooses exec ports,
// and lets an Inquirer find out whether the far sshd permits the forwards.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class ForwardOpener {
  enum Outcome {
    case ready
    /// A line for the user that says why.
    case failed(String)
    /// ssh is gone. Its exit gives the reason.
    case lost
  }

  /// Milliseconds before the next try, if ssh's queue of connections is full.
  private static let busyPause = 50

  private let loop: EventLoop
  private let master: ControlMaster
  private let node: NodeName
  private var rest: [Route]
  private let inquiry: Inquiry
  /// Whether the tunnel itself listens at this end on this host.
  private let isOwn: (Endpoint) -> Bool
  /// Opened forwards for which sshd has not shown that it permits them.
  private var unproven: [Route] = []
  private var asked: ControlConnection?
  private var chosen: Set<Port> = []
  private var retry: EventLoop.Timer?
  private weak var refusals: (any RefusalListener)?
  private var inquirer: Inquirer?
  private var done: ((Outcome) -> Void)?
  /// Remote forwards that the far sshd did not open again after a lost connection. They do not
  /// delay the others.
  private(set) var missing: [Route] = []

  /// Prepares to open forwards.
  ///
  /// - Parameters:
  ///   - master: the ssh that has logged in
  ///   - node: the node that ssh leads to
  ///   - routes: the forwards to open; their exec ports are filled in
  ///   - inquiry: what to ask the far sshd
  ///   - refusals: hears ssh's messages about channels that it could not open
  ///   - isOwn: whether the tunnel itself listens at an end on this host
  ///   - done: called once
  init(
    _ loop: EventLoop, _ master: ControlMaster, _ node: NodeName, _ routes: [Route],
    _ inquiry: Inquiry,
    refusals: any RefusalListener, isOwn: @escaping (Endpoint) -> Bool = { _ in false },
    done: @escaping (Outcome) -> Void
  ) {
    self.loop = loop
    self.master = master
    self.node = node
    rest = routes.reversed()
    self.inquiry = inquiry
    self.refusals = refusals
    self.isOwn = isOwn
    self.done = done
  }

  /// Begins. `done` may be called before this function returns.
  func start() { next() }

  /// Gives up without a report.
  func stop() { finish(nil) }

  private func next() {
    asked?.abandon()
    asked = nil
    guard let route = rest.popLast() else { return inquire() }
    switch route.forward.kind {
    // A SOCKS entrance has no service of its own. The services are those that its clients name.
    case .dynamic: if route.forward.connect == .free { next() } else { lookWhere(route) }
    case .remote: openRemote(route)
    case .local: if route.forward.connect == .free { choose(route) } else { lookWhere(route) }
    }
  }

  /// Sends ssh a request, and tries again while ssh's queue is full.
  private func ask(
    _ request: [UInt8], descriptors: [CInt] = [], _ then: @escaping (MultiplexReply?) -> Void
  ) {
    do throws(SystemError) {
      asked = try master.ask(loop, request, descriptors: descriptors, notify: then)
    } catch {
      if !error.isExhaustion { return finish(.lost) }
      retry = loop.after(milliseconds: ForwardOpener.busyPause) { [weak self] in
        self?.ask(request, descriptors: descriptors, then)
      }
    }
  }

  // MARK: Listening

  /// Opens a local forward. If the tunnel itself listens on the same end of this host, the node
  /// must be another host. Otherwise each connection would enter the tunnel again, in an endless
  /// loop.
  private func lookWhere(_ route: Route) {
    let end = route.forward.connect
    guard isOwn(end), route.forward.host.isLoopback else { return openLocal(route) }
    do throws(SystemError) {
      try Whereabouts().ask(loop, master, refusals) { [weak self] isHere in
        guard let self, self.done != nil else { return }
        switch isHere {
        case true?: self.finish(.failed(self.leadsBack(to: end)))
        case false?: self.openLocal(route)
        case nil: self.finish(.lost)
        }
      }
    } catch {
      if !error.isExhaustion { return finish(.lost) }
      retry = loop.after(milliseconds: ForwardOpener.busyPause) { [weak self] in
        self?.lookWhere(route)
      }
    }
  }

  private func leadsBack(to end: Endpoint) -> String {
    let advice = end.port.map { "another submit port, as in :\($0)" } ?? "another path"
    return "'\(end)' of \(node) is where this tunnel itself listens, as \(node) is this host: take "
      + advice
  }

  private func openLocal(_ route: Route) {
    if master.sockets.has(route.service) { return opened(route) }
    let forward = master.sockets.reserve(route.service)
    ask(MultiplexRequest.open(forward)) { [weak self] reply in
      guard let self else { return }
      switch reply {
      case .done:
        do throws(SystemError) {
          try self.master.sockets.hold(route.service)
          self.opened(route)
        } catch { self.finish(.failed("\(error)")) }
      case .failed(let reason):
        self.finish(
          .failed("ssh does not listen on '\(self.master.sockets.path)': \(printable(reason))"))
      default: self.finish(.lost)
      }
    }
  }

  private func opened(_ route: Route) {
    // For a path, sshd says the same words if it forbids the path and if nothing listens there
    // (serverloop.c, `server_request_direct_streamlocal`). The first client's connection shows
    // which.
    if route.forward.connect.port != nil || inquiry == .ends { unproven.append(route) }
    next()
  }

  private func openRemote(_ route: Route) {
    if case .path(let path) = route.forward.listen { return clear(path, route) }
    if route.forward.listen == .free {
      return letNodeChoose(for: "R:") { [weak self] port in
        route.forward.listen = .port(port)
        self?.listen(route)
      }
    }
    guard inquiry != .none, case .port(let port) = route.forward.listen else {
      return listen(route)
    }
    tryOut(port, for: route.service) { [weak self] trial in
      guard let self else { return }
      guard case .taken(let loopback) = trial else { return self.listen(route) }
      self.finish(
        .failed(
          "\(self.node) does not listen on '\(port)': \(loopback.name):\(port) is in use there: "
            + "take another exec port"))
    }
  }

  /// Removes a socket on the node that an earlier tunnel left and on which no process listens. Any
  /// other file with that name is an error.
  private func clear(_ path: String, _ route: Route) {
    RemotePath.clear(path, loop, master) { [weak self] answer in
      guard let self, self.done != nil else { return }
      switch answer {
      case .free, .unknown: self.listen(route)
      case .lost: self.finish(.lost)
      case .taken, .busy:
        let why = answer == .busy ? "a program listens there" : "it exists already"
        if self.inquiry == .none { self.missing.append(route) }
        self.inquiry == .none
          ? self.next()
          : self.finish(
            .failed("\(self.node) does not listen on '\(path)': \(why): take another path"))
      }
    }
  }

  /// What the node's sshd said about a port.
  private enum Trial {
    case free
    case taken(Loopback)
    /// sshd listens on neither loopback address alone.
    case unknown
  }

  /// Tries each loopback address alone. sshd reports success if it gets one of the two (channels.c,
  /// `channel_setup_fwd_listener_tcpip`). A client of the other address would then reach another
  /// program.
  private func tryOut(
    _ port: Port, for service: Service, on loopbacks: ArraySlice<Loopback> = Loopback.allCases[...],
    isFree: Bool = false, _ then: @escaping (Trial) -> Void
  ) {
    guard let loopback = loopbacks.first else { return then(isFree ? .free : .unknown) }
    let rest = loopbacks.dropFirst()
    let forward = MultiplexRequest.Forward.remote(
      listen: .port(port), on: loopback, to: service)
    tryOut(forward) { listens in
      if listens { return self.tryOut(port, for: service, on: rest, isFree: true, then) }
      // sshd does not say why it failed: the node may lack the address, or sshd may allow localhost
      // only. So we ask it for any free port on that address.
      self.tryOut(self.master.sockets.reserveChoice(on: loopback)) { hasAny in
        if hasAny { return then(.taken(loopback)) }
        self.tryOut(port, for: service, on: rest, isFree: isFree, then)
      }
    }
  }

  /// Asks sshd to listen for a moment.
  private func tryOut(
    _ forward: MultiplexRequest.Forward, _ then: @escaping (_ listens: Bool) -> Void
  ) {
    asked?.abandon()
    ask(MultiplexRequest.open(forward)) { [weak self] reply in
      guard let self else { return }
      switch reply {
      case .done, .chosen: self.letGo(forward) { then(true) }
      case .failed: then(false)
      default: self.finish(.lost)
      }
    }
  }

  private func listen(_ route: Route) {
    asked?.abandon()
    let forward = MultiplexRequest.Forward.remote(
      listen: route.forward.listen, to: route.service)
    ask(MultiplexRequest.open(forward)) { [weak self] reply in
      guard let self else { return }
      switch reply {
      case .done, .chosen: self.next()
      case .failed where self.inquiry == .none:
        self.missing.append(route)
        self.next()
      case .failed(let reason):
        self.finish(
          .failed(
            "\(self.node) does not listen on '\(route.forward.listen)': \(printable(reason)): take "
              + "another exec port; sshd may forbid it (AllowTcpForwarding in sshd_config)"))
      case nil: self.finish(.lost)
      default: self.finish(.failed("\(self.node): ssh gave no answer to '\(route.forward)'"))
      }
    }
  }

  // MARK: Choosing an exec port

  /// A target that never accepts: sshd forwards what arrives at a port during the trial.
  private static let nowhere = Service(host: .localhost, end: .path("/dev/null"))

  /// Chooses the exec port. The number of the submit port is preferred: then the address that the
  /// service prints is also right on this host. If that port is not free on the node, the node's
  /// kernel chooses.
  private func choose(_ route: Route) {
    guard let port = route.forward.listen.port, !chosen.contains(port) else {
      return letNodeChoose(for: "auto") { [weak self] in self?.take($0, route) }
    }
    tryOut(port, for: ForwardOpener.nowhere) { [weak self] trial in
      guard let self else { return }
      guard case .free = trial, self.chosen.insert(port).inserted else {
        return self.letNodeChoose(for: "auto") { [weak self] in self?.take($0, route) }
      }
      self.take(port, route)
    }
  }

  private func take(_ port: Port, _ route: Route) {
    route.forward.connect = .port(port)
    // sshd answers later requests only after it has stopped listening on the port. This host uses
    // the same number, but the node is already known to be another host, so no further check is
    // needed.
    openLocal(route)
  }

  /// Lets the node's kernel choose a port. sshd listens on it for a moment, on both loopback
  /// addresses, so the port is free there.
  ///
  /// - Parameter use: what the port is for, for a message
  private func letNodeChoose(for use: String, _ then: @escaping (Port) -> Void) {
    let forward = master.sockets.reserveChoice()
    ask(MultiplexRequest.open(forward)) { [weak self] reply in
      guard let self else { return }
      switch reply {
      case .chosen(let number):
        guard let number = UInt16(exactly: number), let port = Port(number) else {
          return self.finish(.failed("\(self.node): sshd chose port '\(number)', which is none"))
        }
        self.letGo(forward) {
          // The port is free again at once, so the kernel may choose it twice.
          if !self.chosen.insert(port).inserted { return self.letNodeChoose(for: use, then) }
          then(port)
        }
      case .failed(let reason):
        self.finish(
          .failed(
            "\(self.node) chooses no port for \(use): \(printable(reason)): name the exec port; sshd "
              + "may forbid it (AllowTcpForwarding in sshd_config)"))
      case nil: self.finish(.lost)
      default: self.finish(.failed("\(self.node): ssh chose no port for \(use)"))
      }
    }
  }

  private func letGo(_ forward: MultiplexRequest.Forward, _ then: @escaping () -> Void) {
    asked?.abandon()
    ask(MultiplexRequest.close(forward)) { [weak self] reply in
      if reply == nil { self?.finish(.lost) } else { then() }
    }
  }

  // MARK: The end

  private func inquire() {
    guard let refusals, inquiry != .none else { return finish(.ready) }
    let inquirer = Inquirer(
      loop, master, node, unproven, inquiry, chosen: chosen, refusals: refusals
    ) { [weak self] in self?.finish($0) }
    self.inquirer = inquirer
    inquirer.start()
  }

  private func finish(_ outcome: Outcome?) {
    loop.cancel(retry)
    asked?.abandon()
    asked = nil
    inquirer?.stop()
    inquirer = nil
    rest = []
    let told = done
    done = nil
    if let outcome { told?(outcome) }
  }
}
