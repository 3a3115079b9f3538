// Why a cluster cannot be used, with the next step for the user.

import SpunnelSystem

/// Why a cluster cannot be brought up, read or taken down.
public enum ClusterError: Error, Equatable, Sendable, CustomStringConvertible {
  case system(SystemError)
  /// A malformed value: what it is, its text, and what to write instead.
  case malformed(String, String, String)
  /// Another user may have made the directory, or can change it.
  case untrusted(path: String, why: String)
  /// Programs that are not installed.
  case missing([MissingProgram])
  /// The user id has no passwd entry. Slurm and OpenSSH need one.
  case unknownUser(UInt32)
  /// Slurm takes 63 letters at the most (MAXHOSTNAMELEN), Linux one more.
  case longHostName(String)
  case noCluster(ClusterName)
  case notUp(ClusterName)
  /// A Slurm that the plugin was not built for.
  case otherSlurm(prefix: String, version: SlurmVersion, built: SlurmVersion)
  /// A daemon did not start; its name and its last words.
  case daemon(String, lastWords: String)
  /// A command on another host failed; the host's name and the last words.
  case host(String, lastWords: String)
  /// Several nodes on one host, but this Slurm allows one node on each host.
  case oneNode
  /// Other processes took the chosen ports in every attempt.
  case portsTaken(attempts: Int)
  /// A command of Slurm failed; its name and its last words.
  case slurm(String, lastWords: String)
  /// A condition did not become true in time; what it was, and which log to read.
  case late(String, lookAt: String)
  /// Jobs are running, and the caller asked to refuse in that case.
  case busy(ClusterName, [RunningJob])
  /// Job steps run, and no controller runs that knows them.
  case headless(ClusterName, steps: Int)
  case interrupted
  case stillRunning(String)

  public var description: String {
    switch self {
    case .system(let error): "\(error)"
    case .malformed(let what, let text, let wanted):
      "\(what) '\(printable(text))': write \(wanted)"
    case .untrusted(let path, let why):
      "cannot trust '\(printable(path))': \(why)"
        + (why == UserNamespace.stranger
          ? "" : "; chmod or remove it, or set XDG_STATE_HOME to a folder that only you can change")
    case .missing(let programs): MissingProgram.description(of: programs)
    case .unknownUser(let user):
      "user id \(user) has no name here (getent passwd \(user)): Slurm and OpenSSH look it up; "
        + "ask your administrator for an entry, or run as another user"
    case .longHostName(let name):
      "this host is called '\(printable(name))', and Slurm takes names of 63 letters at the most: give it a "
        + "shorter one, as root with hostname NAME"
    case .noCluster(let name):
      "there is no cluster '\(name)': spunnelctl cluster up\(option(name)) makes one, and spunnelctl "
        + "cluster list shows all clusters"
    case .notUp(let name):
      "cluster '\(name)' is not up: run spunnelctl cluster up\(option(name))"
    case .otherSlurm(let prefix, let version, let built):
      "the Slurm in '\(printable(prefix))' is \(version), and the plugin was built for \(built): build it "
        + "again in Spunnel's source, with make slurm SLURM=\(shellQuoted(prefix)) && make install-slurm"
    case .daemon(let name, let words): "start \(name): \(printable(words))"
    case .host(let name, let words):
      "host \(name): \(printable(words)): does ssh \(name) true work without a password?"
    case .oneNode:
      "start several nodes: this Slurm was built for one node on each host (without "
        + "--enable-multiple-slurmd); take --nodes 1, or another Slurm by --slurm-prefix DIR"
    case .portsTaken(let attempts):
      "find free ports: others took them \(attempts) times before they could be bound; try again"
    case .slurm(let command, let words): "\(command): \(printable(words))"
    case .late(let what, let log): "\(what) in time; see \(printable(log))"
    case .busy(let name, let jobs): busyDescription(name, jobs)
    case .headless(let name, let steps):
      "\(steps) job steps still run and the controller, which knows them, does not: run spunnelctl "
        + "cluster up\(option(name)) first, or end them with down --now\(option(name))"
    case .interrupted: "interrupted; the cluster stays up"
    case .stillRunning(let what): "\(what) is still there after SIGKILL"
    }
  }

  private func busyDescription(_ name: ClusterName, _ jobs: [RunningJob]) -> String {
    let named = jobs.prefix(10).map(\.description).joined(separator: ", ")
    let more = jobs.count > 10 ? " and \(jobs.count - 10) more" : ""
    let (subject, object) =
      jobs.count == 1 ? ("a job is", "it") : ("\(jobs.count) jobs are", "them")
    return "\(subject) running: \(named)\(more); "
      + "down\(option(name)) --wait waits for \(object), --now cancels \(object)"
  }

  private func option(_ name: ClusterName) -> String {
    name == .standard ? "" : " --name \(name)"
  }
}

/// Runs system calls and wraps their error in a `ClusterError`.
func working<Value: ~Copyable>(
  _ body: () throws(SystemError) -> Value
) throws(ClusterError) -> Value {
  do throws(SystemError) { return try body() } catch { throw .system(error) }
}
