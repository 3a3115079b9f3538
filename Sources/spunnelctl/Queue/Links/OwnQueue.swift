// Which Slurm the commands of other queues mean: the user's own, which localqd or wq serve has brought up
// and a file names, or the one that the environment names.

import Glibc
import SpunnelCLI
import SpunnelCluster
import SpunnelSystem

/// A queue of the user's own: a personal cluster, and the file that names it.
struct OwnQueue {
  /// The file's one line is this and the cluster's name.
  private static let scheme = "spunnel-cluster:"
  private static let longestFile = 4096

  /// An absolute path.
  let file: String
  /// Whether the user named the file.
  let isNamed: Bool
  /// What brings such a queue up, for messages: `localqd start`.
  let starter: String
  private let newName: String

  /// localq's, by the file of `-u`.
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

  /// wq's, by the port of `-p`. No port of that number is opened: it tells queues apart.
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

  /// The file's own name as far as a cluster can have it, told apart from its like in other folders.
  private static func name(for file: String) -> String {
    let last = file.split(separator: "/").last ?? ""
    let plain = last.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
    // FNV-1a (RFC draft-eastlake-fnv).
    let hash = file.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
    return "q" + plain.prefix(20) + "-" + String(hash, radix: 16)
  }

  // MARK: The file

  /// The cluster that the file names.
  ///
  /// - Returns: `nil` when there is no such file
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

  /// The cluster that the file names, or that a new one will name.
  func keptOrNew() throws(CommandError) -> Cluster {
    if let kept = try kept() { return kept }
    return try cluster(newName)
  }

  private func cluster(_ name: String) throws(CommandError) -> Cluster {
    do throws(ClusterError) { return Cluster(try ClusterName(name), in: try .current()) } catch {
      throw .failure("read '\(printable(file))': \(error)")
    }
  }

  /// Writes the file, and one with the controller's process id beside it, for the user alone.
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
  /// What the commands of this queue use: the cluster that the file names; without a file that was asked
  /// for, the Slurm of the environment.
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

  /// Brings a cluster up, unless it is, and writes the file.
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
