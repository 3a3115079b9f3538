// A record as another process finds it: `spunnelctl`, or an srun whose port is taken. Damaged or
// missing files are no error, and reading never waits for the keeper.

import Glibc
import SpunnelSlurm
import SpunnelSystem

/// What is known of one tunnel of a user on this host.
public struct RecordView: Equatable, Sendable {
  public let step: StepName
  /// The owner of the tunnel.
  public let user: uid_t
  /// The content of `host`; `nil` when the file is missing or damaged.
  public let host: HostFile?
  /// Whether a keeper holds the record. If not, a crash left it, or it is not a record.
  public let isHeld: Bool
  /// The last status that the keeper wrote; a default status when the file is missing or damaged.
  /// See `state` for the tunnel's present state.
  public let status: Status
  /// The tunnel's state: `stale` when no keeper holds the record, `nil` when the status file is
  /// damaged.
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

  /// All tunnels of a user on this host, sorted by job and step.
  ///
  /// - Parameters:
  ///   - base: the absolute path of `state_dir=`
  ///   - user: the owner of the tunnels
  ///   - isMeant: which records to read
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

  /// The tunnels in one state directory.
  static func all(
    in base: String, _ name: StateName, where isMeant: (StepName) -> Bool,
    within allowance: inout Allowance
  ) throws(RecordError) -> [RecordView] {
    let user = name.user
    guard let state = try StateDirectory.find(name.text, in: base, user: user) else { return [] }
    var views: [RecordView] = []
    for step in allowance.take(try state.steps(where: isMeant), of: state.path) {
      do throws(RecordError) {
        // The record was removed after its name was read.
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
        // A file with a record's name, or a directory that cannot be opened.
        views.append(RecordView(step: step, user: user, host: nil, isHeld: false))
      }
    }
    return views
  }

  /// The user's own tunnel that holds a port of this host; `nil` when there is none.
  static func holder(of port: Port, in base: String, user: uid_t) -> RecordView? {
    guard let views = try? all(in: base, user: user) else { return nil }
    return views.first { $0.isHeld && $0.host?.holds(port) ?? false }
  }

  private init(_ step: StepName, _ user: uid_t, _ content: Content, isHeld: Bool) {
    let status = content.status.text.flatMap { Status($0) }
    // A keeper that has just started has written no status yet.
    let told = content.status.isMissing ? .starting : status?.state
    let isBare = content.host.isMissing || content.host.text == ""
    let host =
      // Before its first forward and after its last, a keeper has nothing to write. This is not
      // damage.
      isBare && isHeld
      ? HostFile(nodes: [], forwards: []) : content.host.text.flatMap { HostFile($0) }
    self.init(
      step: step, user: user, host: host, isHeld: isHeld, status: status ?? Status(),
      state: isHeld ? told : .stale)
  }
}

/// The content of a record's two files.
private struct Content {
  /// The text is `nil` when the file is missing, not regular or not readable.
  typealias File = (text: String?, isMissing: Bool)

  let host: File
  let status: File

  init(of directory: borrowing Directory) {
    host = Content.read(RecordFile.host, directory)
    status = Content.read(RecordFile.status, directory)
  }

  /// The size of both files, in bytes.
  var size: Int { (host.text?.utf8.count ?? 0) + (status.text?.utf8.count ?? 0) }

  private static func read(_ name: String, _ directory: borrowing Directory) -> File {
    do throws(SystemError) {
      // Files with several links are refused: a thousand records could share one large file.
      let content = try directory.read(name, atMost: 1 << 20, isSole: true)
      return (String(decoding: content, as: UTF8.self), false)
    } catch { return (nil, error.code == ENOENT) }
  }
}
