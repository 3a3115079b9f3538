// Brings forwards up on an ssh that has logged in: asks it to listen for each, has exec ports
// chosen, and has an Inquirer find out whether the far sshd allows them at all.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

final class ForwardOpener {
  enum Outcome {
    case ready
    /// One line for the user.
    case failed(String)
    /// ssh is gone; its end says why.
    case lost
  }

  /// Milliseconds before ssh is asked again when it has too many connections waiting.
  private static let busyPause = 50

  private let loop: EventLoop
  private let master: ControlMaster
  private let node: NodeName
  private var rest: [Route]
  private let inquiry: Inquiry
  /// Whether the tunnel itself listens there, on this host.
  private let isOwn: (Endpoint) -> Bool
  /// Those that lead to a port, while nothing was asked about them.
  private var unproven: [Route] = []
  private var asked: ControlConnection?
  private var chosen: Set<Port> = []
  private var retry: EventLoop.Timer?
  private weak var refusals: (any RefusalListener)?
  private var inquirer: Inquirer?
  private var done: ((Outcome) -> Void)?
  /// Remote forwards that the far sshd did not take back. They hold up no other.
  private(set) var missing: [Route] = []

  /// - Parameters:
  ///   - master: the ssh that has logged in
  ///   - routes: what to bring up; their exec ports are filled in
  ///   - inquiry: what to ask the far sshd
  ///   - refusals: hears what ssh says of channels that it could not open
  ///   - isOwn: whether the tunnel itself listens there, on this host
  ///   - done: told once
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

  /// Begins; `done` may be told before it returns.
  func start() { next() }

  /// Gives up without a word.
  func stop() { finish(nil) }

  private func next() {
    asked?.abandon()
    asked = nil
    guard let route = rest.popLast() else { return inquire() }
    switch route.forward.kind {
    // The entrance of SOCKS clients itself has no service; what they name has.
    case .dynamic: if route.forward.connect == .free { next() } else { lookWhere(route) }
    case .remote: openRemote(route)
    case .local: if route.forward.connect == .free { choose(route) } else { lookWhere(route) }
    }
  }

  /// Asks ssh once, again while it is too busy.
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

  /// Where the tunnel itself has a listener of that name, the node must be another host: one connection would
  /// follow the other otherwise, without an end.
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
    // Of a path sshd says the same words whether it forbids it or nothing listens there
    // (serverloop.c, `server_request_direct_streamlocal`): the first user finds out.
    if route.forward.connect.port != nil || inquiry == .ends { unproven.append(route) }
    next()
  }

  private func openRemote(_ route: Route) {
    if case .path(let path) = route.forward.listen { return clear(path, route) }
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

  /// A socket that nobody listens on, left by a tunnel before, goes; anything else is an error.
  private func clear(_ path: String, _ route: Route) {
    RemotePath.clear(path, loop, master) { [weak self] answer in
      guard let self, self.done != nil else { return }
      switch answer {
      case .free, .unknown: self.listen(route)
      case .lost: self.finish(.lost)
      case .taken, .busy:
        let why = answer == .busy ? "somebody listens there" : "it is there already"
        if self.inquiry == .none { self.missing.append(route) }
        self.inquiry == .none
          ? self.next()
          : self.finish(
            .failed("\(self.node) does not listen on '\(path)': \(why): take another path"))
      }
    }
  }

  /// What the node's sshd said of a port.
  private enum Trial {
    case free
    case taken(Loopback)
    /// It allows neither address by itself.
    case unknown
  }

  /// Asks for each loopback address alone: sshd is content with one of the two (channels.c,
  /// `channel_setup_fwd_listener_tcpip`), and a client of the other would reach another program.
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
      // Of a node without that address, or an sshd that allows localhost alone, it says nothing.
      self.tryOut(self.master.sockets.reserveChoice(on: loopback)) { hasAny in
        if hasAny { return then(.taken(loopback)) }
        self.tryOut(port, for: service, on: rest, isFree: isFree, then)
      }
    }
  }

  /// Has sshd listen for a moment.
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

  /// Where nobody listens: sshd hands over what arrives at a port that is only tried out.
  private static let nowhere = Service(host: .localhost, end: .path("/dev/null"))

  /// Takes the number of the submit end where the node has it free: the address that the service prints then
  /// is right on this host as well. Otherwise the node's kernel chooses.
  private func choose(_ route: Route) {
    guard let port = route.forward.listen.port, !chosen.contains(port) else {
      return letNodeChoose(route)
    }
    tryOut(port, for: ForwardOpener.nowhere) { [weak self] trial in
      guard let self else { return }
      guard case .free = trial, self.chosen.insert(port).inserted else {
        return self.letNodeChoose(route)
      }
      self.take(port, route)
    }
  }

  private func take(_ port: Port, _ route: Route) {
    route.forward.connect = .port(port)
    // What sshd is asked for later it answers after it has stopped listening. The tunnel listens on the same
    // number of this host, and the node is known to be another one.
    openLocal(route)
  }

  /// Lets the node's kernel choose a port: sshd listens on it for a moment, on both loopback
  /// addresses, so it is free there.
  private func letNodeChoose(_ route: Route) {
    let forward = master.sockets.reserveChoice()
    ask(MultiplexRequest.open(forward)) { [weak self] reply in
      guard let self else { return }
      switch reply {
      case .chosen(let number):
        guard let number = UInt16(exactly: number), let port = Port(number) else {
          return self.finish(.failed("\(self.node): sshd chose port '\(number)', which is none"))
        }
        self.letGo(forward) {
          // It is free again at once, and might be chosen twice.
          if !self.chosen.insert(port).inserted { return self.letNodeChoose(route) }
          self.take(port, route)
        }
      case .failed(let reason):
        self.finish(
          .failed(
            "\(self.node) chooses no port for auto: \(printable(reason)): name the exec port; sshd "
              + "may forbid it (AllowTcpForwarding in sshd_config)"))
      case nil: self.finish(.lost)
      default: self.finish(.failed("\(self.node): ssh chose no port for auto"))
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
