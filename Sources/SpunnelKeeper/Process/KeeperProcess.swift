// The keeper's executable, and the guardian that cleans up if the keeper is killed.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// The keeper's executable from start to end.
public enum KeeperProcess {
  /// Milliseconds in which processes that a keeper left behind may end by themselves. An srun that
  /// has lost its ssh does. The second number is the milliseconds between TERM and KILL.
  private static let orphanRest = 2000
  private static let orphanPatience = 1000

  /// Runs the keeper.
  ///
  /// - Parameter words: the arguments after the program's name
  /// - Returns: the exit status
  public static func main(_ words: [String]) -> CInt {
    let lifeline = FileDescriptor(owning: KeeperRequest.lifeline)
    guard let request = KeeperRequest(words: words) else {
      _ = refuse("its keeper is of another version: is the installation complete?", lifeline)
      return usage()
    }
    guard let installation = Installation.current else {
      return refuse(Installation.absence, lifeline)
    }
    if request.life == .job { leaveFolder() }
    // srun sets this value if slurmctld gave it the configuration. Other programs would take it for
    // a file name.
    if Process.environment("SLURM_CONF") == "(null)" { Process.removeEnvironment("SLURM_CONF") }
    Process.keepFilesPrivate()
    // ssh(1): without a terminal, ssh must not open a window to ask for a password.
    Process.setEnvironment("SSH_ASKPASS_REQUIRE", "never")
    do throws(RecordError) {
      let record = try Record.create(
        request.step, in: request.settings.stateDirectory, user: getuid())
      return keep(request, record, installation, lifeline)
    } catch {
      return refuse("\(error)", lifeline)
    }
  }

  /// Leaves the working directory, so that a tunnel that outlives its command does not keep a file
  /// system mounted. Relative paths in the environment are made absolute first.
  private static func leaveFolder() {
    for name in ["SLURM_CONF", "SSH_AUTH_SOCK"] {
      guard let path = Process.environment(name), !path.hasPrefix("/"),
        let whole = try? realPath(path)
      else { continue }
      Process.setEnvironment(name, whole)
    }
    _ = unsafe chdir("/")
  }

  /// Tells srun why there is no tunnel. The ports stop listening, even if other processes have
  /// copies of the descriptors.
  private static func refuse(_ reason: String, _ lifeline: borrowing FileDescriptor) -> CInt {
    for descriptor in listenerDescriptors() { Socket.stopListening(descriptor) }
    let line = KeeperReport.failed(reason).line
    do throws(SystemError) { try lifeline.writeAll(Array(line.utf8)) } catch {}
    return 1
  }

  private static func usage() -> CInt {
    StandardStream.error.write(
      line: "spunnel-keeper is started by srun --tunnel; see spunnelctl --help")
    return 2
  }

  /// Runs the keeper in a child of the guardian. The guardian only waits for it: a keeper that is
  /// killed with -9 cannot remove its record. If the guardian dies, the keeper gets SIGTERM.
  private static func keep(
    _ request: KeeperRequest, _ record: Record, _ installation: Installation,
    _ lifeline: consuming FileDescriptor
  ) -> CInt {
    let listeners = listenerDescriptors()
    Process.adoptOrphans()
    // Without this the guardian would wait for all children, also those with a session of their
    // own.
    Process.keepChildren()
    do throws(SystemError) {
      if case .parent(let child) = try Process.fork(parentDeathSignal: SIGTERM) {
        // A copy of the descriptor in the guardian would keep the port bound when the keeper
        // releases it.
        for listener in listeners { _ = close(listener) }
        return guardian(child, record, lifeline, request.settings.syslog)
      }
      let keeper = try Keeper(request, record, installation)
      keeper.run(listeners, lifeline: lifeline)
      return 0
    } catch {
      record.remove()
      return refuse("\(error)", lifeline)
    }
  }

  private static func guardian(
    _ child: pid_t, _ record: Record, _ lifeline: consuming FileDescriptor,
    _ syslog: SystemLog.Facility?
  ) -> CInt {
    Process.setName("spunnel-guard")
    // A copy of the lifeline in the guardian would keep srun waiting after the keeper's end.
    _ = consume lifeline
    Process.releaseCode()
    Process.waitAmongOrphans(for: child)
    // A keeper that ended in order has removed its record.
    TunnelJournal.endOfKilled(record, syslog)
    record.removeSocketsElsewhere()
    record.remove()
    // If a script of the site (`ssh_cmd=`) started an ssh, nothing else ends it.
    Process.endOrphans(rest: orphanRest, patience: orphanPatience)
    return 0
  }

  /// The descriptors of bound sockets. They are numbered without a gap.
  private static func listenerDescriptors() -> [CInt] {
    var found: [CInt] = []
    while Socket.isListening(KeeperRequest.firstListener + CInt(found.count)) {
      found.append(KeeperRequest.firstListener + CInt(found.count))
    }
    return found
  }
}
