// The submit ports: bound before the job is queued, and held until the keeper has them. The places
// of submit sockets are only checked.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// The bound sockets of all submit ports that a spec names.
struct Claim: ~Copyable {
  /// The spec as the user typed it.
  let typed: TunnelSpec
  /// The spec; for a batch job, the chosen ports are filled in.
  let spec: TunnelSpec
  let settings: Settings
  let sockets: [SubmitSocket]

  /// Binds every submit port on 127.0.0.1 and ::1, all or none. First it checks that a record can
  /// be made, and a socket at each path that is known now. Otherwise these errors would appear only
  /// after the job has waited in the queue. A path is not bound here: if srun was killed, nothing
  /// would remove its file.
  ///
  /// - Parameter chosen: chooses the ports that the spec leaves open; `nil`: the keeper chooses them
  init(
    _ spec: TunnelSpec, _ settings: Settings, choosing chosen: ChosenPorts? = nil
  ) throws(SubmitError) {
    do throws(RecordError) {
      try StateDirectory.verify(in: settings.stateDirectory, user: getuid())
    } catch { throw .record(error) }
    if settings.access != .host { try Claim.verifyLookup() }
    try Claim.verifyPaths(spec)
    var sockets: [SubmitSocket] = []
    for port in spec.ports {
      let bound = try SubmitSocket.bind(port, stateDirectory: settings.stateDirectory)
      sockets += bound
    }
    var filled = spec
    if var chosen {
      filled = try chosen.fill(spec)
      sockets += chosen.sockets
    }
    typed = spec
    self.spec = filled
    self.settings = settings
    self.sockets = sockets
    // srun forks a helper that lives as long as srun. A copy there would keep a port bound that the
    // tunnel releases.
    for socket in sockets { socket.descriptor.withholdFromForks(true) }
  }

  deinit {
    for socket in sockets { socket.descriptor.withholdFromForks(false) }
  }

  /// Checks that the kernel reports the owner of a connection. If it does not, the keeper cannot
  /// admit any client.
  private static func verifyLookup() throws(SubmitError) {
    if UserNamespace.isUnknown(getuid()) { throw .unknownUser(getuid()) }
    do throws(SystemError) { try PeerLookup.verify() } catch { throw .system(error) }
  }

  private static func verifyPaths(_ spec: TunnelSpec) throws(SubmitError) {
    let paths: [String]
    do throws(SpecError) { paths = try spec.paths(known: nil) } catch { throw .spec(error) }
    for path in paths { try SubmitSocket.verify(path: path) }
  }

  /// Releases the ports that no keeper has taken.
  borrowing func release() {
    for socket in sockets { socket.end() }
  }
}
