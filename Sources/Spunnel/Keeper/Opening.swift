// Brings forwards up on an ssh that has logged in: asks it to listen for each, has exec ports
// chosen, and finds out whether the far sshd allows them at all.

import Glibc
import SpunnelSystem

/// What is known of the far end of a forward.
public enum FarEnd: String, Sendable {
  /// Nobody has connected yet.
  case unknown
  case listening
  /// The last connection was refused: nothing listens there.
  case refused
}

/// One forward of a link, as it is being made and as it then is.
final class Route {
  /// With an exec port that is chosen on the way when it was `free`.
  var forward: Forward
  var far = FarEnd.unknown

  init(_ forward: Forward) { self.forward = forward }

  /// Where connections go: on the far side, or on this one for a remote forward.
  var service: Service { Service(host: forward.host, end: forward.connect) }
}

final class Opening {
  enum Outcome {
    case ready
    /// One line for the user.
    case failed(String)
    /// ssh is gone; its end says why.
    case lost
  }

  /// Milliseconds after which silence is taken for a service that is slow to accept.
  private static let probePatience = 1000
  /// Milliseconds that a probe may take before it is helped on.
  private static let nudgePause = 4
  /// Milliseconds before ssh is asked again when it has too many connections waiting.
  private static let busyPause = 50

  private let loop: EventLoop
  private let master: Master
  private let node: NodeName
  private var rest: [Route]
  private let probes: Bool
  private var asked: ControlConnection?
  private var chosen: Set<Port> = []
  private var timers: [EventLoop.Timer] = []
  private let lastWords: () -> String?
  private var done: ((Outcome) -> Void)?
  /// Remote forwards that the far sshd did not take back. They hold up no other.
  private(set) var missing: [Route] = []

  /// - Parameters:
  ///   - master: the ssh that has logged in
  ///   - routes: what to bring up; their exec ports are filled in
  ///   - probes: whether to ask the far sshd for each forward
  ///   - lastWords: why ssh could not open a channel, as it said last
  ///   - done: told once
  init(
    _ loop: EventLoop, _ master: Master, _ node: NodeName, _ routes: [Route], probes: Bool,
    lastWords: @escaping () -> String?, done: @escaping (Outcome) -> Void
  ) {
    self.loop = loop
    self.master = master
    self.node = node
    rest = routes.reversed()
    self.probes = probes
    self.lastWords = lastWords
    self.done = done
  }

  /// Begins; `done` may be told before it returns.
  func start() { next() }

  /// Gives up without a word.
  func stop() { finish(nil) }

  private func next() {
    cancelTimers()
    asked?.abandon()
    asked = nil
    guard let route = rest.popLast() else { return finish(.ready) }
    switch route.forward.kind {
    // The entrance of SOCKS clients itself has no service; what they name has.
    case .dynamic: if route.forward.connect == .free { next() } else { openLocal(route) }
    case .remote: openRemote(route)
    case .local: if route.forward.connect == .free { choose(route) } else { openLocal(route) }
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
      after(Opening.busyPause) { $0.ask(request, descriptors: descriptors, then) }
    }
  }

  // MARK: Listening

  private func openLocal(_ route: Route) {
    if master.sockets.has(route.service) { return probe(route) }
    let forward = master.sockets.reserve(route.service)
    ask(MultiplexRequest.open(forward)) { [weak self] reply in
      guard let self else { return }
      switch reply {
      case .done:
        do throws(SystemError) {
          try self.master.sockets.hold(route.service)
          self.probe(route)
        } catch { self.finish(.failed("\(error)")) }
      case .failed(let reason):
        self.finish(
          .failed("ssh does not listen on '\(self.master.sockets.path)': \(printable(reason))"))
      default: self.finish(.lost)
      }
    }
  }

  private func openRemote(_ route: Route) {
    guard probes, case .port(let port) = route.forward.listen else { return listen(route) }
    tryOut(port, on: Loopback.allCases[...], route)
  }

  /// sshd is content with one of the two loopback addresses (channels.c,
  /// `channel_setup_fwd_listener_tcpip`): whoever connects to the other reaches another program. So
  /// each is asked for alone first.
  private func tryOut(_ port: Port, on loopbacks: ArraySlice<Loopback>, _ route: Route) {
    guard let loopback = loopbacks.first else { return listen(route) }
    let forward = MultiplexRequest.Forward.remote(
      listen: .port(port), on: loopback, to: route.service)
    tryOut(forward) { isFree in
      if isFree { return self.tryOut(port, on: loopbacks.dropFirst(), route) }
      // Of a node without that address, or an sshd that allows localhost alone, it says nothing.
      self.tryOut(self.master.sockets.reserveChoice(on: loopback)) { hasAny in
        if !hasAny { return self.tryOut(port, on: loopbacks.dropFirst(), route) }
        self.finish(
          .failed(
            "\(self.node) does not listen on '\(port)': \(loopback.name):\(port) is in use there: "
              + "take another exec port"))
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
      case .failed where !self.probes:
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

  /// Lets the node's kernel choose a port: sshd listens on it for a moment, on both loopback
  /// addresses, so it is free there.
  private func choose(_ route: Route) {
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
          if !self.chosen.insert(port).inserted { return self.choose(route) }
          route.forward.connect = .port(port)
          // The probe's answer comes after sshd has stopped listening.
          self.openLocal(route)
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

  // MARK: Probing

  /// Opens a forward once and closes it again: an sshd that forbids it says so only then.
  private func probe(_ route: Route) {
    // A connection to a path has no message of its own; the first user finds out.
    guard probes, case .port(let port) = route.forward.connect else { return next() }
    asked?.abandon()
    do throws(SystemError) {
      asked = try ask(route.forward.host, port) { [weak self] in self?.probed(route, $0) }
      after(Opening.nudgePause) { $0.nudge(route.forward.host, port) }
      after(Opening.probePatience) { $0.next() }
    } catch {
      if !error.isExhaustion { return finish(.lost) }
      after(Opening.busyPause) { $0.probe(route) }
    }
  }

  private func ask(
    _ host: HostName, _ port: Port, _ notify: @escaping (MultiplexReply?) -> Void
  ) throws(SystemError) -> ControlConnection {
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    return try master.ask(
      loop, MultiplexRequest.connect(host: host.description, port: port),
      descriptors: [null.raw, null.raw], notify: notify)
  }

  /// Asks a second time. sshd leaves Nagle's algorithm on: its answer to the first probe stays
  /// behind its announcement of host keys until this host acknowledges that, which takes 40 ms
  /// unless there is something else to send.
  private func nudge(_ host: HostName, _ port: Port) {
    // Without it the answer comes all the same, only later.
    let second = try? ask(host, port) { _ in }
    second?.abandon()
  }

  private func probed(_ route: Route, _ reply: MultiplexReply?) {
    cancelTimers()
    switch reply {
    case .none: finish(.lost)
    case .failed:
      // "Connection refused" is the usual case: the service is not there yet.
      route.far = .refused
      if let last = lastWords(), last.contains("prohibited") {
        let diagnosis = SSHDiagnosis(refusal: last, node: node)
        return finish(.failed("\(node):\(route.forward.connect): \(diagnosis.message)"))
      }
      next()
    default:
      route.far = .listening
      next()
    }
  }

  // MARK: The end

  private func finish(_ outcome: Outcome?) {
    cancelTimers()
    asked?.abandon()
    asked = nil
    rest = []
    let told = done
    done = nil
    if let outcome { told?(outcome) }
  }

  private func after(_ milliseconds: Int, _ action: @escaping (Opening) -> Void) {
    timers.append(
      loop.after(milliseconds: milliseconds) { [weak self] in
        if let self, self.done != nil { action(self) }
      })
  }

  private func cancelTimers() {
    for timer in timers { loop.cancel(timer) }
    timers = []
  }
}
