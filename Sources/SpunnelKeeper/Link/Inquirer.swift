// Asks the far sshd whether it forwards, or whether anything listens at the far ends, over an ssh that
// has logged in. At a tunnel's start no service is touched.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// What the far sshd is asked once ssh listens.
enum Inquiry {
  /// Nothing.
  case none
  /// Whether it forwards at all.
  case permission
  /// Whether anything listens at the far ends.
  case ends
}

final class Inquirer {
  /// Milliseconds after which silence is taken for a service that is slow to accept.
  private static let patience = 1000
  /// Milliseconds that sshd's first answer may take before it is helped on.
  private static let nudgePause = 4
  /// Milliseconds before ssh is asked again when it has too many connections waiting.
  private static let busyPause = 50

  private let loop: EventLoop
  private let master: ControlMaster
  private let node: NodeName
  /// Those that nothing is known of yet.
  private var routes: [Route]
  private let inquiry: Inquiry
  private let chosen: Set<Port>
  private var timers: [EventLoop.Timer] = []
  private weak var refusals: (any RefusalListener)?
  /// Counts what sshd was asked, so that an answer that comes too late is known.
  private var question = 0
  private var done: ((ForwardOpener.Outcome) -> Void)?

  /// - Parameters:
  ///   - master: the ssh that has logged in, and listens for the forwards
  ///   - routes: those that lead to a port
  ///   - chosen: exec ports that sshd has listened on a moment ago
  ///   - refusals: hears what ssh says of channels that it could not open
  ///   - done: told once
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

  /// Begins; `done` may be told before it returns.
  func start() {
    switch inquiry {
    case .none: finish(.ready)
    case .permission: askPermission()
    case .ends: askEnds()
    }
  }

  /// Gives up without a word.
  func stop() {
    cancelTimers()
    done = nil
  }

  private enum Answer {
    case connected, refused, silence
    /// In ssh's words.
    case prohibited(String)
  }

  /// An sshd that forbids forwarding says so only when it is to connect. So it is asked for port 0 of
  /// its own host, where nothing can listen, once for each name that forwards have for it. What it
  /// permits of third hosts, only their own ports tell.
  private func askPermission() {
    guard let host = routes.first(where: { needsPermission($0) })?.forward.host else {
      routes.removeAll { $0.forward.host.isLoopback }
      return askEnds()
    }
    ask(Service(host: host, end: .free)) { inquirer, answer in
      // It may permit some ports and no others: those that are wanted are asked for themselves.
      if case .prohibited = answer { return inquirer.askEnds() }
      if case .silence = answer {} else { inquirer.master.permitted.insert(host) }
      inquirer.routes.removeAll { $0.forward.host == host }
      inquirer.askPermission()
    }
    after(Inquirer.nudgePause) { $0.nudge(host) }
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
    try? master.tryOut(Service(host: host, end: .free), loop, refusals) { _ in }
  }

  /// Has sshd connect to the ends themselves, one after the other, and disconnect.
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
      // At the start nothing of the job may be there yet.
      default: break
      }
      inquirer.askEnds()
    }
  }

  /// Finds out why a far end has refused, and goes on to the next.
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
