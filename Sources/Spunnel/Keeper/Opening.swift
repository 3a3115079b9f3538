// Brings forwards up on an ssh that has logged in: asks it to listen for each, has exec ports
// chosen, and finds out whether the far sshd allows them at all, without touching what listens there.

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

/// What the far sshd is asked once ssh listens.
enum Inquiry {
  /// Nothing.
  case none
  /// Whether it forwards at all.
  case permission
  /// Whether anything listens at the far ends.
  case ends
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
  /// Milliseconds that sshd's first answer may take before it is helped on.
  private static let nudgePause = 4
  /// Milliseconds before ssh is asked again when it has too many connections waiting.
  private static let busyPause = 50

  private let loop: EventLoop
  private let master: Master
  private let node: NodeName
  private var rest: [Route]
  private let inquiry: Inquiry
  /// Those that lead to a port, while nothing was asked about them.
  private var unproven: [Route] = []
  private var asked: ControlConnection?
  private var chosen: Set<Port> = []
  private var timers: [EventLoop.Timer] = []
  private weak var refusals: (any RefusalListener)?
  /// Counts what sshd was asked, so that an answer that comes too late is known.
  private var question = 0
  private var done: ((Outcome) -> Void)?
  /// Remote forwards that the far sshd did not take back. They hold up no other.
  private(set) var missing: [Route] = []

  /// - Parameters:
  ///   - master: the ssh that has logged in
  ///   - routes: what to bring up; their exec ports are filled in
  ///   - inquiry: what to ask the far sshd
  ///   - refusals: hears what ssh says of channels that it could not open
  ///   - done: told once
  init(
    _ loop: EventLoop, _ master: Master, _ node: NodeName, _ routes: [Route], _ inquiry: Inquiry,
    refusals: any RefusalListener, done: @escaping (Outcome) -> Void
  ) {
    self.loop = loop
    self.master = master
    self.node = node
    rest = routes.reversed()
    self.inquiry = inquiry
    self.refusals = refusals
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
    guard let route = rest.popLast() else { return inquire() }
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
    if route.forward.connect.port != nil { unproven.append(route) }
    next()
  }

  private func openRemote(_ route: Route) {
    guard inquiry != .none, case .port(let port) = route.forward.listen else {
      return listen(route)
    }
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
          // What sshd is asked for later it answers after it has stopped listening.
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

  // MARK: Asking the far sshd

  private enum Answer {
    case connected, refused, silence
    /// In ssh's words.
    case prohibited(String)
  }

  private func inquire() {
    switch inquiry {
    case .none: finish(.ready)
    case .permission: askPermission()
    case .ends: askEnds()
    }
  }

  /// An sshd that forbids forwarding says so only when it is to connect. So it is asked for port 0 of
  /// its own host, where nothing can listen, once for each name that forwards have for it. What it
  /// permits of third hosts, only their own ports tell.
  private func askPermission() {
    guard let host = unproven.first(where: { needsPermission($0) })?.forward.host else {
      unproven.removeAll { $0.forward.host.isLoopback }
      return askEnds()
    }
    ask(Service(host: host, end: .free)) { opening, answer in
      // It may permit some ports and no others: those that are wanted are asked for themselves.
      if case .prohibited = answer { return opening.askEnds() }
      if case .silence = answer {} else { opening.master.permitted.insert(host) }
      opening.unproven.removeAll { $0.forward.host == host }
      opening.askPermission()
    }
    after(Opening.nudgePause) { $0.nudge(host) }
  }

  /// Whether sshd is to say something before a forward is ready: whether it permits the host, or that
  /// it has let go of the port that it chose, since it answers in order.
  private func needsPermission(_ route: Route) -> Bool {
    if !route.forward.host.isLoopback { return false }
    let wasChosen = route.forward.connect.port.map { chosen.contains($0) } ?? false
    return wasChosen || !master.permitted.contains(route.forward.host)
  }

  /// Asks a second time. sshd leaves Nagle's algorithm on: its first answer stays behind its
  /// announcement of host keys until this host acknowledges that, which takes 40 ms unless there is
  /// something else to send.
  private func nudge(_ host: HostName) {
    // Without it the answer comes all the same, only later.
    try? connect(Service(host: host, end: .free)) { _ in }
  }

  /// Has sshd connect to the ends themselves, one after the other, and disconnect.
  private func askEnds() {
    if unproven.isEmpty { return finish(.ready) }
    let route = unproven.removeFirst()
    ask(route.service) { opening, answer in
      switch answer {
      case .prohibited(let words):
        let diagnosis = SSHDiagnosis(refusal: words, node: opening.node)
        return opening.finish(
          .failed("\(opening.node):\(route.forward.connect): \(diagnosis.message)"))
      case .connected where opening.inquiry == .ends: route.far = .listening
      case .refused where opening.inquiry == .ends: route.far = .refused
      // At the start nothing of the job may be there yet.
      default: break
      }
      opening.askEnds()
    }
  }

  private func ask(_ service: Service, _ then: @escaping (Opening, Answer) -> Void) {
    cancelTimers()
    asked?.abandon()
    asked = nil
    question += 1
    let number = question
    do throws(SystemError) {
      try connect(service) { [weak self] reply in
        if let self, self.question == number { self.answered(reply, then) }
      }
      after(Opening.probePatience) { then($0, .silence) }
    } catch {
      if !error.isExhaustion { return finish(.lost) }
      after(Opening.busyPause) { $0.ask(service, then) }
    }
  }

  private func answered(_ reply: MultiplexReply?, _ then: (Opening, Answer) -> Void) {
    guard done != nil else { return }
    cancelTimers()
    switch reply {
    case nil: finish(.lost)
    case .failed:
      let words = refusals?.lastRefusal ?? ""
      then(self, words.contains("prohibited") ? .prohibited(words) : .refused)
    default: then(self, .connected)
    }
  }

  /// Has sshd connect to a service and disconnect at once.
  private func connect(
    _ service: Service, _ notify: @escaping (MultiplexReply?) -> Void
  ) throws(SystemError) {
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    let connection = try master.ask(
      loop, MultiplexRequest.connect(service), descriptors: [null.raw, null.raw]
    ) { [weak refusals = self.refusals] reply in
      if case .failed = reply {} else { refusals?.expectsRefusal(false) }
      notify(reply)
    }
    refusals?.expectsRefusal(true)
    connection.release()
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
