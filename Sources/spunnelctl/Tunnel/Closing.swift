// Tunnels, or forwards of them, while they are closed: one that cannot be keeps no other from it.

import Glibc
import SpunnelCLI
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// Tunnels that are to end: all are asked before the first is waited for.
struct Closing {
  /// Milliseconds that keepers have for tearing down together, with a little more for each. Another
  /// user's may never end.
  private static let patience = (all: 5000, each: 20, most: 60_000)

  private let directory: String
  /// What has ended, in the order of the tunnels.
  private(set) var closed: [RecordView] = []
  private var complaints: Complaints
  /// What has not, and why.
  var failure: CommandError? { complaints.error }

  /// Asks, and waits.
  init(_ tunnels: [RecordView], _ directory: String) {
    self.directory = directory
    complaints = Complaints(of: tunnels)
    let asked = tunnels.filter { request($0) }
    let (all, each, most) = Closing.patience
    let deadline = Clock.milliseconds() + min(all + each * asked.count, most)
    var waiting = asked
    while true {
      waiting.removeAll { isOver($0) }
      if waiting.isEmpty || Clock.milliseconds() > deadline { break }
      usleep(10_000)
    }
    let left = Set(waiting.map(\.key))
    for tunnel in waiting { add("its keeper does not end: see spunnelctl status", tunnel) }
    closed = asked.filter { !left.contains($0.key) }
  }

  private mutating func request(_ tunnel: RecordView) -> Bool {
    do throws(RecordError) {
      // One that ended in the meantime is what was wanted.
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

/// Forwards that keepers are to give up.
struct ForwardClosing {
  /// Milliseconds that a user's keepers have together for their answers.
  private static let patience = 5000

  private let directory: String
  /// What was given up, and by which tunnel.
  private(set) var closed: [(tunnel: RecordView, spec: TunnelSpec)] = []
  private var complaints: Complaints
  var failure: CommandError? { complaints.error }

  /// Asks for one forward after the other, and for each of them every user's keepers: what another
  /// user's say that they have given up need not be what was meant.
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
      // The keeper of an older Spunnel does not say which.
      case .report(.done): closed.append((tunnel, spec))
      case .report(.failed(let reason)): refusal = refusal ?? (printable(reason), tunnel)
      case .failure(let error): refusal = ("\(error)", tunnel)
      case .silence: refusal = ("its keeper gave no answer", tunnel)
      // It ended meanwhile: nothing listens there any more.
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

/// What could not be closed, a line each, and no more of one user's than somebody would read.
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

  /// `nil` when there is none.
  var error: CommandError? {
    let rest = counts.filter { $0.value > Complaints.most }.map { user, count in
      "close: and \(count - Complaints.most) more of \(names[user])"
    }
    return lines.isEmpty ? nil : .failures(lines + rest.sorted())
  }
}

extension RecordView {
  var isOwn: Bool { user == getuid() }

  /// In a sentence; whose it is where that is not clear.
  func name(_ names: UserNames) -> String {
    "job \(step.job), step \(step.stepLabel)" + (isOwn ? "" : ", of \(names[user])")
  }

  fileprivate var key: Key { Key(user: user, step: step) }

  fileprivate struct Key: Hashable {
    let user: uid_t
    let step: StepName
  }
}
