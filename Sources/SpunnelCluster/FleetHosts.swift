// The other hosts of a cluster: what they are, and the daemons of their nodes.

import Glibc
import SpunnelSystem

/// The hosts of one cluster other than this host.
struct FleetHosts {
  /// The range of ports for nodes: above the registered ports of Slurm, below the ephemeral ports
  /// of Linux.
  private static let portRange = 20_000...31_999
  private static let largestLibrary = 16 << 20

  let layout: Layout
  let programs: Programs
  let shell: HostShell

  init(_ layout: Layout, _ programs: Programs) throws(ClusterError) {
    self.layout = layout
    self.programs = programs
    shell = try HostShell(folder: layout.log)
  }

  // MARK: Looking

  /// Asks all hosts for their facts, and chooses a port for each node.
  ///
  /// - Throws: `host` when a host fails, or when the user's id differs there
  func resolve(_ fleet: Fleet) throws(ClusterError) -> Fleet {
    var fleet = fleet
    let own: Set<String> = ["localhost", Host.name]
    let others = fleet.nodes.map(\.name).filter { !own.contains($0) }
    let script = HostScripts.look(programs)
    let answers = try shell.run(others.map { ($0, script) })
    var taken: Set<UInt16> = []
    fleet.controllerAddress = nil
    for index in fleet.nodes.indices {
      let name = fleet.nodes[index].name
      var look = HostLook(answers[name] ?? [])
      if own.contains(name) { look.host = Host.name }
      if !own.contains(name), look.user != Int(geteuid()) {
        throw .host(
          name,
          lastWords: "your user id there is \(look.user.map { String($0) } ?? "not known"), and "
            + "\(geteuid()) here: Slurm needs the same one")
      }
      fleet.nodes[index].host = look.host
      fleet.nodes[index].address = look.address
      let port = FleetHosts.port(taken.union(look.ports))
      taken.insert(port)
      fleet.nodes[index].port = port
      fleet.controllerAddress = fleet.controllerAddress ?? look.controller
    }
    // The other hosts reach the nodes of this host by the address of the controller.
    for index in fleet.nodes.indices where fleet.nodes[index].isLocal {
      fleet.nodes[index].address = fleet.isRemote ? fleet.controllerAddress : nil
    }
    if !fleet.isRemote { fleet.controllerAddress = nil }
    return fleet
  }

  private static func port(_ taken: Set<UInt16>) -> UInt16 {
    while true {
      let port = UInt16(Int.random(in: portRange))
      if !taken.contains(port) { return port }
    }
  }

  // MARK: Starting and stopping

  /// Starts the missing daemons on the other hosts.
  ///
  /// - Returns: the nodes whose slurmd was started
  func start(_ fleet: Fleet, in folder: borrowing Directory) throws(ClusterError) -> [Daemon] {
    let remote = fleet.nodes.filter { !$0.isLocal }
    if remote.isEmpty { return [] }
    let files = try working { () throws(SystemError) in try self.files(in: folder) }
    var scripts: [(host: String, text: String)] = []
    for (name, nodes) in FleetHosts.byHost(remote) {
      let addresses = Set(fleet.nodes.compactMap(\.address) + [fleet.controllerAddress ?? ""])
      let delivery = HostScripts.Delivery(
        root: layout.root, programs: programs, files: files, nodes: nodes.map(\.name),
        peers: addresses.filter { $0 != nodes[0].address && !$0.isEmpty }.sorted())
      scripts.append((name, HostScripts.start(delivery)))
    }
    let answers = try shell.run(scripts)
    return answers.values.joined().compactMap { line in
      line.hasPrefix("started ") ? .node(String(line.dropFirst("started ".count))) : nil
    }
  }

  func stop(_ fleet: Fleet) throws(ClusterError) {
    let remote = fleet.nodes.filter { !$0.isLocal }
    if remote.isEmpty { return }
    let script = HostScripts.stop(root: layout.root, programs)
    _ = try shell.run(FleetHosts.byHost(remote).map { ($0.name, script) })
  }

  /// The nodes grouped by host. The first node's name identifies the host for ssh.
  private static func byHost(_ nodes: [FleetNode]) -> [(name: String, nodes: [FleetNode])] {
    var groups: [(name: String, nodes: [FleetNode])] = []
    for node in nodes {
      if let index = groups.firstIndex(where: { $0.nodes[0].host == node.host }), node.host != nil {
        groups[index].nodes.append(node)
      } else {
        groups.append((node.name, [node]))
      }
    }
    return groups
  }

  private func files(
    in folder: borrowing Directory
  ) throws(SystemError) -> [(name: String, content: [UInt8])] {
    var files: [(name: String, content: [UInt8])] = []
    for name in ["munge.key", "slurm.conf", "gres.conf", "cgroup.conf", "plugstack.conf"]
    where folder.contains(name) {
      files.append((name, try folder.read(name, atMost: 1 << 20)))
    }
    // The administrator may have put them anywhere, so links are followed.
    let libraries = try Directory.open(following: layout.plugin)
    for name in ["loopback.so", "spunnel.so"] where libraries.contains(name) {
      let content = try libraries.read(name, atMost: FleetHosts.largestLibrary)
      files.append(("plugin/" + name, content))
    }
    return files
  }
}

/// The answer of a host to `HostScripts.look`.
private struct HostLook {
  var host: String?
  var user: Int?
  /// The address by which that host reaches this one.
  var controller: String?
  /// The address by which this host reaches that one.
  var address: String?
  /// The ports on which a process listens.
  var ports: Set<UInt16> = []

  init(_ lines: [String]) {
    for line in lines {
      let words = line.split(separator: " ").map(String.init)
      switch words.first {
      case "host" where words.count == 2: host = words[1]
      case "user" where words.count == 2: user = Int(words[1])
      // SSH_CONNECTION (ssh(1)): the client's address and port, then the server's.
      case "link" where words.count == 5: (controller, address) = (words[1], words[3])
      case "ports": ports = Set(words.dropFirst().compactMap { UInt16($0, radix: 16) })
      default: break
      }
    }
  }
}
