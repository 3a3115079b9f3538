// A record as somebody else finds it: `spunnelctl`, or an srun whose port is taken. Whatever has
// become of its files, looking never fails and never waits.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// What is known about one tunnel of a user on this host.
public struct RecordView: Equatable, Sendable {
  public let step: StepName
  /// Whose tunnel it is.
  public let user: uid_t
  /// `nil` when the file is missing or damaged.
  public let host: HostFile?
  /// Whether a keeper holds the record; what nobody holds was left by a crash, or is none.
  public let isHeld: Bool
  /// What the keeper wrote last, as far as that is there and not damaged. How the tunnel is now, `state`
  /// says.
  public let status: Status
  /// `stale` when nobody holds the record, `nil` when it says nothing of its state that makes sense.
  public let state: Status.State?

  init(
    step: StepName, user: uid_t, host: HostFile?, isHeld: Bool, status: Status = Status(),
    state: Status.State? = nil
  ) {
    self.step = step
    self.user = user
    self.host = host
    self.isHeld = isHeld
    self.status = status
    self.state = state
  }

  /// All of a user's tunnels on this host, by job and step.
  ///
  /// - Parameters:
  ///   - base: an absolute path, of `state_dir=`
  ///   - user: whose
  ///   - isMeant: which records are read at all
  public static func all(
    in base: String, user: uid_t, where isMeant: (StepName) -> Bool = { _ in true }
  ) throws(RecordError) -> [RecordView] {
    var allowance = Allowance.unlimited
    var views: [RecordView] = []
    for name in try StateDirectory.names(in: base, user: user) {
      guard let name = StateName(name) else { continue }
      views += try all(in: base, name, where: isMeant, within: &allowance)
    }
    return views.sorted { ($0.step.job, $0.step.step) < ($1.step.job, $1.step.step) }
  }

  /// Those of one directory.
  static func all(
    in base: String, _ name: StateName, where isMeant: (StepName) -> Bool,
    within allowance: inout Allowance
  ) throws(RecordError) -> [RecordView] {
    let user = name.user
    guard let state = try StateDirectory.find(name.text, in: base, user: user) else { return [] }
    var views: [RecordView] = []
    for step in allowance.take(try state.steps(where: isMeant), of: state.path) {
      do throws(RecordError) {
        // One that ended while we looked is simply not there.
        guard let directory = try state.open(step) else { continue }
        if allowance.bytes <= 0 {
          views.append(
            RecordView(step: step, user: user, host: nil, isHeld: directory.isLocked()))
          continue
        }
        let content = Content(of: directory)
        allowance.take(bytes: content.size, of: state.path)
        views.append(RecordView(step, user, content, isHeld: directory.isLocked()))
      } catch {
        // Something of a record's name that is no directory or cannot be opened.
        views.append(RecordView(step: step, user: user, host: nil, isHeld: false))
      }
    }
    return views
  }

  /// The tunnel that holds a port of this host, if it is one of the user's own.
  static func holder(of port: Port, in base: String, user: uid_t) -> RecordView? {
    guard let views = try? all(in: base, user: user) else { return nil }
    return views.first { $0.isHeld && $0.host?.holds(port) ?? false }
  }

  private init(_ step: StepName, _ user: uid_t, _ content: Content, isHeld: Bool) {
    let status = content.status.text.flatMap { Status($0) }
    // A keeper that has just begun has written nothing yet.
    let told = content.status.isMissing ? .starting : status?.state
    let isBare = content.host.isMissing || content.host.text == ""
    let host =
      // Before the first forward and after the last: no damage, while somebody holds it.
      isBare && isHeld
      ? HostFile(nodes: [], forwards: []) : content.host.text.flatMap { HostFile($0) }
    self.init(
      step: step, user: user, host: host, isHeld: isHeld, status: status ?? Status(),
      state: isHeld ? told : .stale)
  }
}

/// What a record's two files say.
private struct Content {
  /// There is no text when it is no regular file, or not readable.
  typealias File = (text: String?, isMissing: Bool)

  let host: File
  let status: File

  init(of directory: borrowing Directory) {
    host = Content.read(RecordFile.host, directory)
    status = Content.read(RecordFile.status, directory)
  }

  /// In bytes.
  var size: Int { (host.text?.utf8.count ?? 0) + (status.text?.utf8.count ?? 0) }

  private static func read(_ name: String, _ directory: borrowing Directory) -> File {
    do throws(SystemError) {
      // With links to one file a thousand records are as large as one on the disk.
      let content = try directory.read(name, atMost: 1 << 20, isSole: true)
      return (String(decoding: content, as: UTF8.self), false)
    } catch { return (nil, error.code == ENOENT) }
  }
}
