// A record as somebody else finds it: `spunnelctl`, or an srun whose port is taken.

import Glibc
import SpunnelSystem

/// What is known about one tunnel of a user on this host.
public struct RecordView: Equatable, Sendable {
  public let step: StepName
  /// `nil` when the file is missing or damaged.
  public let host: HostFile?
  /// Its state is `stale` when nobody holds the record.
  public let status: Status

  /// All of a user's tunnels on this host, by job and step.
  ///
  /// - Parameters:
  ///   - base: an absolute path, of `state_dir=`
  ///   - user: whose
  public static func all(in base: String, user: uid_t) throws(RecordError) -> [RecordView] {
    guard let state = try StateDirectory.find(in: base, user: user) else { return [] }
    var views: [RecordView] = []
    for step in try state.steps() {
      // One that ended while we looked is simply not there.
      guard let directory = try state.open(step) else { continue }
      views.append(RecordView(step, directory))
    }
    return views
  }

  /// The tunnel that holds a port of this host, if it is one of the user's own.
  static func holder(of port: Port, in base: String, user: uid_t) -> RecordView? {
    guard let views = try? all(in: base, user: user) else { return nil }
    return views.first { view in
      view.status.state != .stale
        && view.host?.holds(port) ?? false
    }
  }

  private init(_ step: StepName, _ directory: borrowing Directory) {
    self.step = step
    host = RecordView.read(RecordFile.host, directory).flatMap { HostFile($0) }
    var status = RecordView.read(RecordFile.status, directory).flatMap { Status($0) } ?? Status()
    if !directory.isLocked() { status.state = .stale }
    self.status = status
  }

  /// - Returns: `nil` when it is not there, no regular file, or not readable
  private static func read(_ name: String, _ directory: borrowing Directory) -> String? {
    do throws(SystemError) {
      return String(decoding: try directory.read(name, atMost: 1 << 20), as: UTF8.self)
    } catch { return nil }
  }
}
