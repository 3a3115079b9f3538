// Selects the Slurm for the commands of other queues. It is a personal cluster that localqd or `wq
// serve` brought up and that a file names, or the Slurm of the environment.

import Glibc
import SpunnelCLI
import SpunnelCluster
import SpunnelSystem

/// A personal cluster that serves as a queue, and the file that names it.
struct OwnQueue {
  /// The beginning of the file's only line. The name of the cluster follows.
  private static let scheme = "spunnel-cluster:"
  private static let longestFile = 4096

  /// The absolute path of the file.
  let file: String
  /// Whether the user named the file.
  let isNamed: Bool
  /// The command that brings the queue up, for errors: `localqd start`.
  let starter: String
  private let newName: String

  /// The queue of localq.
  ///
  /// - Parameter path: the file of `-u`; `nil` for the standard one
  static func localq(_ path: String?) throws(CommandError) -> OwnQueue {
    guard let path else {
      return OwnQueue(
        file: try standardFile("localq"), isNamed: false, starter: "localqd start",
        newName: "localq")
    }
    let file = try absolute(path)
    return OwnQueue(
      file: file, isNamed: true, starter: "localqd -u \(path) start", newName: name(for: file))
  }

  /// The queue of wq.
  ///
  /// - Parameter port: the value of `-p`, which only identifies the queue: no port is opened
  static func wq(_ port: Int?) throws(CommandError) -> OwnQueue {
    let name = port.map { "wq-\($0)" } ?? "wq"
    return OwnQueue(
      file: try standardFile(name), isNamed: port != nil,
      starter: port.map { "wq serve -p \($0) DESC" } ?? "wq serve DESC", newName: name)
  }

  private static func standardFile(_ name: String) throws(CommandError) -> String {
    let home = try clusterHome()
    return home.path + "/../\(name).uri"
  }

  private static func clusterHome() throws(CommandError) -> ClusterHome {
    do throws(ClusterError) { return try ClusterHome.current() } catch {
      throw .failure("\(error)")
    }
  }

  private static func absolute(_ path: String) throws(CommandError) -> String {
    if path.hasPrefix("/") { return path }
    do throws(SystemError) { return try realPath(".") + "/" + path } catch {
      throw .failure("read '\(printable(path))': \(error)")
    }
  }

  /// The name of the cluster for a file: the file's own name as far as allowed, and a hash of its
  /// path.
  private static func name(for file: String) -> String {
    let last = file.split(separator: "/").last ?? ""
    let plain = last.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
    // FNV-1a (draft-eastlake-fnv).
    let hash = file.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
    return "q" + plain.prefix(20) + "-" + String(hash, radix: 16)
  }

  // MARK: The file

  /// The cluster that the file names.
  ///
  /// - Returns: `nil` when the file does not exist
  func kept() throws(CommandError) -> Cluster? {
    let text: String
    do throws(SystemError) {
      let file = try FileDescriptor.open(file, O_RDONLY | O_NONBLOCK)
      text = String(
        decoding: try file.content(expecting: 0, atMost: OwnQueue.longestFile), as: UTF8.self)
    } catch {
      if error.code == ENOENT { return nil }
      throw .failure("read '\(printable(file))': \(error)")
    }
    let line = text.prefix { $0 != "\n" }
    guard line.hasPrefix(OwnQueue.scheme) else {
      throw .failure(
        "read '\(printable(file))': it names no queue: \(starter) writes such a file")
    }
    return try cluster(String(line.dropFirst(OwnQueue.scheme.count)))
  }

  /// The cluster that the file names; without a file, the cluster of the new queue.
  func keptOrNew() throws(CommandError) -> Cluster {
    if let kept = try kept() { return kept }
    return try cluster(newName)
  }

  private func cluster(_ name: String) throws(CommandError) -> Cluster {
    do throws(ClusterError) { return Cluster(try ClusterName(name), in: try .current()) } catch {
      throw .failure("read '\(printable(file))': \(error)")
    }
  }

  /// Writes the file, and beside it a file with the controller's process id. Only the user can read
  /// them.
  func keep(_ cluster: Cluster, process: pid_t?) throws(CommandError) {
    do throws(SystemError) {
      let folder = try folder()
      try folder.replace(name, with: Array("\(OwnQueue.scheme)\(cluster.name)\n".utf8))
      if let process { try folder.replace(name + ".pid", with: Array("\(process)\n".utf8)) }
    } catch { throw .failure("write '\(printable(file))': \(error)") }
  }

  func forget() {
    guard let folder = try? folder() else { return }
    for name in [name, name + ".pid"] { folder.remove(name) }
  }

  private var name: String { file.split(separator: "/").last.map(String.init) ?? "" }

  private func folder() throws(SystemError) -> Directory {
    let path = String(file.dropLast(name.utf8.count))
    try Directory.createPath(path)
    return try Directory.open(following: path)
  }
}

extension OwnQueue {
  /// The tools for this queue. They use the cluster that the file names. If the user named no file,
  /// `SLURM_CONF` wins; without a file, the Slurm of the environment is used.
  func tools() throws(CommandError) -> QueueTools {
    let isChosen = Process.environment("SLURM_CONF").map { !$0.isEmpty } ?? false
    if !isNamed, isChosen { return try QueueTools() }
    guard let cluster = try kept() else {
      if isNamed {
        throw .failure("there is no queue '\(printable(file))': type \(starter)")
      }
      return try QueueTools()
    }
    let change: EnvironmentChange
    do throws(ClusterError) { change = try cluster.environment() } catch {
      switch error {
      case .notUp, .noCluster: throw .failure("the queue is not up: type \(starter)")
      default: throw .failure("\(error)")
      }
    }
    return try QueueTools(environment: change.applied(to: Process.environment()))
  }

  /// Brings a cluster up if it is down, and writes the file.
  ///
  /// - Parameters:
  ///   - cluster: the cluster
  ///   - change: adjusts the request
  func serve(
    _ cluster: Cluster, _ change: (inout UpRequest) -> Void
  ) throws(CommandError) -> (result: UpResult, shape: Shape) {
    guard let installation = Installation.current else { throw .failure(Installation.absence) }
    var request = UpRequest(pluginFolder: installation.libraries)
    change(&request)
    let result: UpResult
    let status: Cluster.Status
    do throws(ClusterError) {
      result = try cluster.up(request)
      status = try cluster.status()
    } catch { throw .failure("\(error)") }
    let controller = status.daemons.first { $0.daemon == .controller }
    try keep(cluster, process: controller?.id ?? nil)
    return (result, status.shape)
  }
}
