// Closes tunnels, or single forwards of them. One failure does not stop the others.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// Closes tunnels. It asks all keepers before it waits for the first.
struct Closing {
  /// Milliseconds for all keepers together, and for each one more. The keeper of another user may
  /// never end.
  private static let patience = (all: 5000, each: 20, most: 60_000)
  /// Milliseconds before a word on what is waited for.
  private static let silence = 2000

  private let directory: String
  /// The tunnels that have ended, in order.
  private(set) var closed: [RecordView] = []
  private var complaints: Complaints
  /// The tunnels that could not be closed, with the reasons; `nil` for none.
  var failure: CommandError? { complaints.error }

  /// Asks the keepers to end, and waits for them.
  init(_ tunnels: [RecordView], _ directory: String) {
    self.directory = directory
    complaints = Complaints(of: tunnels)
    let asked = tunnels.filter { request($0) }
    let (all, each, most) = Closing.patience
    let deadline = Clock.milliseconds() + min(all + each * asked.count, most)
    var waiting = asked
    let lateness = Clock.milliseconds() + Closing.silence
    var isTold = false
    while true {
      waiting.removeAll { isOver($0) }
      if waiting.isEmpty || Clock.milliseconds() > deadline { break }
      if !isTold, Clock.milliseconds() > lateness, let first = waiting.first {
        isTold = true
        let more = waiting.count > 1 ? " and \(waiting.count - 1) more" : ""
        remark("spunnelctl: waiting for the tunnel of \(first.step.words)\(more) to end")
      }
      usleep(10_000)
    }
    let left = Set(waiting.map(\.key))
    for tunnel in waiting { add("its keeper does not end: see spunnelctl status", tunnel) }
    closed = asked.filter { !left.contains($0.key) }
  }

  private mutating func request(_ tunnel: RecordView) -> Bool {
    do throws(RecordError) {
      // If the tunnel has ended meanwhile, the request is met.
      let state = try find(tunnel)
      _ = try state?.requestExit(tunnel.step)
      return true
    } catch {
      add("\(error)", tunnel)
      return false
    }
  }

  private func isOver(_ tunnel: RecordView) -> Bool {
    do throws(RecordError) {
      let state = try find(tunnel)
      return try state?.isHeld(tunnel.step) != true
    } catch { return false }
  }

  private func find(_ tunnel: RecordView) throws(RecordError) -> StateDirectory? {
    try StateDirectory.find(holding: tunnel.step, in: directory, user: tunnel.user)
  }

  private mutating func add(_ reason: String, _ tunnel: RecordView) {
    complaints.add("close the tunnel of \(complaints.name(of: tunnel)): \(reason)", tunnel.user)
  }
}

/// Closes single forwards of tunnels.
struct ForwardClosing {
  /// Milliseconds for the answers of all keepers of one user.
  private static let patience = 5000

  private let directory: String
  /// The forwards that were closed, each with its tunnel.
  private(set) var closed: [(tunnel: RecordView, spec: TunnelSpec)] = []
  private var complaints: Complaints
  var failure: CommandError? { complaints.error }

  /// Asks for one forward after the other, and for each one asks the keepers of each user. The
  /// answer of another user's keeper need not be true, so each user is asked.
  init(_ spec: TunnelSpec, of tunnels: [RecordView], _ directory: String) {
    self.directory = directory
    complaints = Complaints(of: tunnels)
    for forward in spec.forwards {
      for own in tunnels.byOwner { close(TunnelSpec(forwards: [forward]), of: own) }
    }
  }

  private mutating func close(_ spec: TunnelSpec, of tunnels: [RecordView]) {
    let before = closed.count
    var refusal: (reason: String, tunnel: RecordView)?
    let answers = KeeperSurvey.ask(
      .close(spec), of: tunnels, in: directory, milliseconds: ForwardClosing.patience)
    for (tunnel, answer) in zip(tunnels, answers) {
      switch answer {
      case .report(.closed(let forwards)): closed.append((tunnel, forwards))
      // The keeper of an older Spunnel does not name the closed forwards.
      case .report(.done): closed.append((tunnel, spec))
      case .report(.failed(let reason)): refusal = refusal ?? (printable(reason), tunnel)
      case .failure(let error): refusal = ("\(error)", tunnel)
      case .silence: refusal = ("its keeper gave no answer", tunnel)
      // The keeper has ended meanwhile, so nothing listens any more.
      case .report, .none: continue
      }
    }
    guard closed.count == before, let first = tunnels.first else { return }
    let ends = spec.forwards.map { "'\($0.listen)'" }.joined(separator: ", ")
    let (reason, tunnel) = refusal ?? ("no forward listens at \(ends)", first)
    let whose = tunnel.isOwn ? "" : "\(complaints.name(of: tunnel)): "
    complaints.add("close: \(whose)\(reason): see spunnelctl status", tunnel.user)
  }
}

/// Failures to close, one line each. The number of lines for each user is bounded.
private struct Complaints {
  private static let most = 10

  private let names: UserNames
  private var lines: [String] = []
  private var counts: [uid_t: Int] = [:]

  init(of tunnels: [RecordView]) { names = UserNames(tunnels) }

  func name(of tunnel: RecordView) -> String { tunnel.name(names) }

  mutating func add(_ line: String, _ user: uid_t) {
    counts[user, default: 0] += 1
    if counts[user, default: 0] <= Complaints.most { lines.append(line) }
  }

  /// All failures; `nil` for none.
  var error: CommandError? {
    let rest = counts.filter { $0.value > Complaints.most }.map { user, count in
      "close: and \(count - Complaints.most) more of \(names[user])"
    }
    return lines.isEmpty ? nil : .failures(lines + rest.sorted())
  }
}

extension RecordView {
  var isOwn: Bool { user == getuid() }

  /// The tunnel in a sentence, with its owner if that is another user.
  func name(_ names: UserNames) -> String {
    "job \(step.job), step \(step.stepLabel)" + (isOwn ? "" : ", of \(names[user])")
  }

  fileprivate var key: Key { Key(user: user, step: step) }

  fileprivate struct Key: Hashable {
    let user: uid_t
    let step: StepName
  }
}
