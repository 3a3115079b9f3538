// The keeper's executable, and who cleans up when it is killed.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// The whole life of the keeper's executable.
public enum KeeperProcess {
  /// Milliseconds in which what a keeper leaves behind may end by itself, as an srun does that has lost its
  /// ssh, and those between TERM and KILL.
  private static let orphanRest = 2000
  private static let orphanPatience = 1000

  /// - Parameter words: the argument vector behind the program's name
  /// - Returns: the exit status
  public static func main(_ words: [String]) -> CInt {
    let lifeline = FileDescriptor(owning: KeeperRequest.lifeline)
    guard let request = KeeperRequest(words: words) else {
      _ = refuse("its keeper is of another version: is Spunnel installed as a whole?", lifeline)
      return usage()
    }
    guard let installation = Installation.current else {
      return refuse(Installation.absence, lifeline)
    }
    if request.life == .job { leaveFolder() }
    // srun writes this where slurmctld told it the configuration; to others it would be a file's name.
    if Process.environment("SLURM_CONF") == "(null)" { Process.removeEnvironment("SLURM_CONF") }
    Process.keepFilesPrivate()
    // ssh(1): no window that asks, where there is no terminal to ask at.
    Process.setEnvironment("SSH_ASKPASS_REQUIRE", "never")
    do throws(RecordError) {
      let record = try Record.create(
        request.step, in: request.settings.stateDirectory, user: getuid())
      return keep(request, record, installation, lifeline)
    } catch {
      return refuse("\(error)", lifeline)
    }
  }

  /// Nothing of a tunnel that outlives its command holds the folder where that was typed: it may be on what is
  /// to be unmounted. What was named from there is still found.
  private static func leaveFolder() {
    for name in ["SLURM_CONF", "SSH_AUTH_SOCK"] {
      guard let path = Process.environment(name), !path.hasPrefix("/"),
        let whole = try? realPath(path)
      else { continue }
      Process.setEnvironment(name, whole)
    }
    _ = unsafe chdir("/")
  }

  /// Tells srun why there is no tunnel. The ports listen no more, whoever else has copies.
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

  /// The keeper proper is a child of the guardian, which does nothing but wait for it: killed with
  /// -9, the keeper cannot remove its record. The other way round the guardian's death ends it.
  private static func keep(
    _ request: KeeperRequest, _ record: Record, _ installation: Installation,
    _ lifeline: consuming FileDescriptor
  ) -> CInt {
    let listeners = listenerDescriptors()
    Process.adoptOrphans()
    // Otherwise it would wait for all of them, those with a session of their own included.
    Process.keepChildren()
    do throws(SystemError) {
      if case .parent(let child) = try Process.fork(parentDeathSignal: SIGTERM) {
        // Held here as well they would stay bound when the keeper gives them up.
        for listener in listeners { _ = close(listener) }
        return guardian(child, record, lifeline)
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
    _ child: pid_t, _ record: Record, _ lifeline: consuming FileDescriptor
  ) -> CInt {
    Process.setName("spunnel-guard")
    // Held here it would keep srun waiting for the keeper's end.
    _ = consume lifeline
    Process.releaseCode()
    Process.waitAmongOrphans(for: child)
    record.removeSocketsElsewhere()
    record.remove()
    // An ssh that a script of the site's has started (`ssh_cmd=`) has no other end.
    Process.endOrphans(rest: orphanRest, patience: orphanPatience)
    return 0
  }

  /// The descriptors that hold bound sockets: they follow each other without a gap.
  private static func listenerDescriptors() -> [CInt] {
    var found: [CInt] = []
    while Socket.isListening(KeeperRequest.firstListener + CInt(found.count)) {
      found.append(KeeperRequest.firstListener + CInt(found.count))
    }
    return found
  }
}
