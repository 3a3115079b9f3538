// Writes the files of a cluster's folder: the keys once, the configuration at each start.

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// Writes the files of one cluster.
struct ClusterFiles {
  private let layout: Layout
  private let programs: Programs
  private let request: UpRequest
  private let user: uid_t

  init(_ layout: Layout, _ programs: Programs, _ request: UpRequest, _ user: uid_t) {
    self.layout = layout
    self.programs = programs
    self.request = request
    self.user = user
  }

  func write(
    _ record: SavedRecord, _ shape: Shape, in folder: borrowing Directory
  ) throws(ClusterError) {
    guard let ports = record.ports else { return }
    try working { () throws(SystemError) in
      for name in Layout.folders { try folder.create(name) }
      try ClusterFiles.makeMungeKey(in: folder)
      try link(in: folder)
    }
    try makeKeys(in: folder)
    let devices = try devices(shape.gpus)
    // An error of this slurmd is reported when slurmd is started.
    let version = try? Slurm(layout, programs).version()
    try checkPlugin(version)
    try working { () throws(SystemError) in
      try writeSlurm(shape, ports, devices, in: folder)
      try writeControlGroups(version, in: folder)
      try writeSSH(ports, in: folder)
      // Written last: while it exists, its content is true.
      try folder.replace(SavedRecord.fileName, with: Array(record.text.utf8))
    }
    if user == 0 { ClusterFiles.makeSeparationFolder() }
  }

  // MARK: Keys

  private static func makeMungeKey(in folder: borrowing Directory) throws(SystemError) {
    if folder.contains("munge.key") { return }
    let random = try FileDescriptor.open("/dev/urandom", O_RDONLY)
    var key: [UInt8] = []
    while key.count < 128, let more = try random.read(atMost: 128 - key.count), !more.isEmpty {
      key += more
    }
    try folder.replace("munge.key", with: key)
  }

  private func makeKeys(in folder: borrowing Directory) throws(ClusterError) {
    let keys = try working { () throws(SystemError) in try folder.open("keys") }
    for name in ["host", "client"] where !keys.contains(name) || !keys.contains(name + ".pub") {
      // ssh-keygen writes to a draft first: on a full disk it may leave a truncated key.
      for draft in ["draft", "draft.pub"] { keys.remove(draft) }
      let arguments = [
        "-q", "-t", "ed25519", "-N", "", "-C", "spunnel-\(layout.name)-\(name)", "-f",
        layout.keys + "/draft",
      ]
      let keygen = Program(
        programs.keygen, arguments, environment: Slurm.environment(layout, programs))
      let result = try working { () throws(SystemError) in try keygen.capture(milliseconds: 20_000)
      }
      if !result.succeeded { throw .slurm("ssh-keygen", lastWords: result.lastLine) }
      try working { () throws(SystemError) in
        try keys.rename("draft.pub", to: name + ".pub")
        try keys.rename("draft", to: name)
      }
    }
  }

  // MARK: Configuration

  /// A plugin of another release would print an error on each srun, and tunnels would be impossible. The
  /// machine's own Slurm is the installation's affair.
  private func checkPlugin(_ version: SlurmVersion?) throws(ClusterError) {
    guard let prefix = programs.prefix, let version else { return }
    let helper = Program(
      Installation(libraryFolder: request.pluginFolder).jobs, ["version"],
      environment: Slurm.environment(layout, programs))
    guard let result = try? helper.capture(milliseconds: 5000), result.succeeded,
      let built = SlurmVersion(result.lastLine), built != version
    else { return }
    throw .otherSlurm(prefix: prefix, version: version, built: built)
  }

  private func writeSlurm(
    _ shape: Shape, _ ports: Ports, _ devices: [String], in folder: borrowing Directory
  ) throws(SystemError) {
    let configuration = SlurmConfiguration(
      layout: layout, shape: shape, ports: ports, user: user, network: .current,
      nothing: programs.nothing, pluginFolder: programs.pluginFolder)
    try folder.replaceKeeping("slurm.conf", with: configuration.text)
    try folder.replace("gres.conf", with: Array(SlurmConfiguration.gpus(devices: devices).utf8))
    let hasPlugin = unsafe access(request.pluginFolder + "/spunnel.so", R_OK) == 0
    let plugins = hasPlugin ? configuration.plugins : ""
    try folder.replaceKeeping("plugstack.conf", with: plugins)
  }

  /// Writes cgroup.conf, or removes the cgroup.conf that an earlier `up` wrote for another Slurm.
  private func writeControlGroups(
    _ version: SlurmVersion?, in folder: borrowing Directory
  ) throws(SystemError) {
    let text = SlurmConfiguration.controlGroups(of: version)
    if text.isEmpty { return folder.remove("cgroup.conf") }
    try folder.replace("cgroup.conf", with: Array(text.utf8))
  }

  private func writeSSH(
    _ ports: Ports, in folder: borrowing Directory
  ) throws(SystemError) {
    let keys = try folder.open("keys")
    let configuration = ClusterSSH(layout: layout, port: ports.sshd)
    func text(_ name: String) throws(SystemError) -> String {
      String(decoding: try keys.read(name, atMost: 4096), as: UTF8.self)
    }
    let hosts = configuration.knownHosts(hostKey: try text("host.pub"))
    let authorized = configuration.authorizedKeys(clientKey: try text("client.pub"))
    try keys.replace("known_hosts", with: Array(hosts.utf8))
    try keys.replace("authorized.\(user)", with: Array(authorized.utf8))
    try folder.replace("sshd_config", with: Array(configuration.server.utf8))
    try folder.replace("ssh_config", with: Array(configuration.client.utf8))
  }

  private func link(in folder: borrowing Directory) throws(SystemError) {
    try folder.link("plugin", to: request.pluginFolder)
    // slurmd needs its step manager under exactly this name.
    try folder.open("bin").link("slurmstepd", to: programs.slurmstepd)
  }

  /// A device file for each GPU: NVIDIA's, or terminals as placeholders if the machine has fewer
  /// GPUs. Slurm needs one file for each GPU to number them. Without cgroups it never opens them.
  private func devices(_ count: Int) throws(ClusterError) -> [String] {
    for kind in ["/dev/nvidia", "/dev/tty"] {
      let devices = (0..<count).map { kind + String($0) }
      if devices.allSatisfy({ path in unsafe access(path, F_OK) == 0 }) { return devices }
    }
    throw .malformed("--gpus", String(count), "no more than the machine has as /dev/nvidia0 …")
  }

  /// Makes `/run/sshd`. An sshd that runs as root needs this empty folder, which the package's
  /// service usually makes.
  private static func makeSeparationFolder() { _ = unsafe mkdir("/run/sshd", 0o755) }
}
