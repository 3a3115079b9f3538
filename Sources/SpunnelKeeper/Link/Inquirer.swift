// Asks the far sshd, over an ssh that has logged in, whether it permits forwarding or whether
// anything listens at the far ends. The start of a tunnel contacts no service.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// What the far sshd is asked once ssh listens.
enum Inquiry {
  /// Nothing.
  case none
  /// Whether it permits forwarding at all.
  case permission
  /// Whether anything listens at the far ends.
  case ends
}

final class Inquirer {
  /// Milliseconds without an answer after which the service is taken to be slow to accept.
  private static let patience = 1000
  /// Milliseconds to wait for sshd's first answer before `nudge` sends something more.
  private static let nudgePause = 4
  /// Milliseconds before the next try, if ssh's queue of connections is full.
  private static let busyPause = 50

  private let loop: EventLoop
  private let master: ControlMaster
  private let node: NodeName
  /// The routes that nothing is known about yet.
  private var routes: [Route]
  private let inquiry: Inquiry
  private let chosen: Set<Port>
  private var timers: [EventLoop.Timer] = []
  private weak var refusals: (any RefusalListener)?
  /// The number of the last question: it identifies an answer that comes too late.
  private var question = 0
  private var done: ((ForwardOpener.Outcome) -> Void)?

  /// Prepares to ask.
  ///
  /// - Parameters:
  ///   - master: the ssh that has logged in and listens for the forwards
  ///   - node: the node that ssh leads to
  ///   - routes: the forwards that lead to a port
  ///   - inquiry: what to ask
  ///   - chosen: exec ports on which sshd listened a moment ago
  ///   - refusals: hears ssh's messages about channels that it could not open
  ///   - done: called once
  init(
    _ loop: EventLoop, _ master: ControlMaster, _ node: NodeName, _ routes: [Route],
    _ inquiry: Inquiry,
    chosen: Set<Port>, refusals: any RefusalListener,
    done: @escaping (ForwardOpener.Outcome) -> Void
  ) {
    self.loop = loop
    self.master = master
    self.node = node
    self.routes = routes
    self.inquiry = inquiry
    self.chosen = chosen
    self.refusals = refusals
    self.done = done
  }

  /// Begins. `done` may be called before this function returns.
  func start() {
    switch inquiry {
    case .none: finish(.ready)
    case .permission: askPermission()
    case .ends: askEnds()
    }
  }

  /// Gives up without a report.
  func stop() {
    cancelTimers()
    done = nil
  }

  private enum Answer {
    case connected, refused, silence
    /// sshd prohibits the connection; ssh's words.
    case prohibited(String)
  }

  /// Asks whether sshd permits forwarding to its own host. An sshd that forbids forwarding says so
  /// only when it has to connect. So we ask for port 0, where nothing can listen, once for each
  /// name of that host in the forwards. For other hosts, only their real ports show what sshd
  /// permits.
  private func askPermission() {
    guard let host = routes.first(where: { needsPermission($0) })?.forward.host else {
      routes.removeAll { $0.forward.host.isLoopback }
      return askEnds()
    }
    ask(Service(host: host, end: .free)) { inquirer, answer in
      // sshd may permit some ports only, so we ask for the wanted ports themselves.
      if case .prohibited = answer { return inquirer.askEnds() }
      if case .silence = answer {} else { inquirer.master.permitted.insert(host) }
      inquirer.routes.removeAll { $0.forward.host == host }
      inquirer.askPermission()
    }
    after(Inquirer.nudgePause) { $0.nudge(host) }
  }

  /// Whether a forward must wait for an answer of sshd. The answer shows that sshd permits the
  /// host. Because sshd answers in order, it also shows that sshd no longer listens on a port that
  /// it chose.
  private func needsPermission(_ route: Route) -> Bool {
    if !route.forward.host.isLoopback { return false }
    let wasChosen = route.forward.connect.port.map { chosen.contains($0) } ?? false
    return wasChosen || !master.permitted.contains(route.forward.host)
  }

  /// Asks a second time, to make the first answer arrive sooner. sshd uses Nagle's algorithm: its
  /// first answer waits until this host acknowledges sshd's announcement of its host keys. The
  /// delayed acknowledgement takes 40 ms, unless this host has something to send.
  private func nudge(_ host: HostName) {
    // If this fails, the answer still comes, only later.
    try? master.tryOut(Service(host: host, end: .free), loop, refusals) { _ in }
  }

  /// Asks sshd to connect to the far ends themselves, one after the other, and to disconnect at
  /// once.
  private func askEnds() {
    if routes.isEmpty { return finish(.ready) }
    let route = routes.removeFirst()
    ask(route.service) { inquirer, answer in
      switch answer {
      case .prohibited where inquirer.inquiry == .ends: route.far = .denied
      case .prohibited(let words):
        let diagnosis = SSHDiagnosis(refusal: words, node: inquirer.node)
        return inquirer.finish(
          .failed("\(inquirer.node):\(route.forward.connect): \(diagnosis.message)"))
      case .connected where inquirer.inquiry == .ends: route.far = .listening
      case .refused where inquirer.inquiry == .ends: return inquirer.look(at: route)
      // At the start of a job its services may not listen yet.
      default: break
      }
      inquirer.askEnds()
    }
  }

  /// Finds out why a far end has refused, then goes on with the next.
  private func look(at route: Route) {
    let told: FarEnd = route.forward.connect.port == nil ? .unreached : .refused
    FarLook(loop: loop, master: master, node: node, refusals: refusals)
      .look(at: route.forward, told) { [weak self] in
        route.far = $0
        if let self, self.done != nil { self.askEnds() }
      }
  }

  private func ask(_ service: Service, _ then: @escaping (Inquirer, Answer) -> Void) {
    cancelTimers()
    question += 1
    let number = question
    do throws(SystemError) {
      try master.tryOut(service, loop, refusals) { [weak self] reply in
        if let self, self.question == number { self.answered(reply, then) }
      }
      after(Inquirer.patience) { then($0, .silence) }
    } catch {
      if !error.isExhaustion { return finish(.lost) }
      after(Inquirer.busyPause) { $0.ask(service, then) }
    }
  }

  private func answered(_ reply: MultiplexReply?, _ then: (Inquirer, Answer) -> Void) {
    guard done != nil else { return }
    cancelTimers()
    switch reply {
    case nil: finish(.lost)
    case .failed:
      let words = refusals?.lastRefusal ?? ""
      then(self, words.mentions("prohibited") ? .prohibited(words) : .refused)
    default: then(self, .connected)
    }
  }

  private func finish(_ outcome: ForwardOpener.Outcome) {
    let told = done
    stop()
    told?(outcome)
  }

  private func after(_ milliseconds: Int, _ action: @escaping (Inquirer) -> Void) {
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
