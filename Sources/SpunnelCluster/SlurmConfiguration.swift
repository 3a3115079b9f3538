// The text of slurm.conf, gres.conf, cgroup.conf and plugstack.conf, with the reason for each
// unusual line.

import Glibc
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel

/// Everything that Slurm's configuration depends on.
public struct SlurmConfiguration: Sendable {
  public let layout: Layout
  public let shape: Shape
  public let ports: Ports
  /// The uid of the user. Slurm could misread some login names.
  public let user: UInt32
  public let network: Network
  /// The path of a program that does nothing.
  public let nothing: String
  /// The folder of Slurm's plugins, if it is not where Slurm was built for.
  public let pluginFolder: String?

  /// How this host is connected, as far as Slurm's name lookups depend on it.
  public struct Network: Equatable, Sendable {
    /// Whether sockets of both families work.
    ///
    /// With IPv4 alone Slurm's lookups skip a family of which the host has only loopback addresses
    /// (getaddrinfo(3), `AI_ADDRCONFIG`). On a laptop without a network they would not find
    /// 127.0.0.1.
    public let hasBothFamilies: Bool
    /// Whether the host's own name resolves to 127.0.0.1 alone.
    public let nameIsLoopback: Bool

    public init(hasBothFamilies: Bool, nameIsLoopback: Bool) {
      self.hasBothFamilies = hasBothFamilies
      self.nameIsLoopback = nameIsLoopback
    }
  }

  public init(
    layout: Layout, shape: Shape, ports: Ports, user: UInt32, network: Network, nothing: String,
    pluginFolder: String?
  ) {
    self.layout = layout
    self.shape = shape
    self.ports = ports
    self.user = user
    self.network = network
    self.nothing = nothing
    self.pluginFolder = pluginFolder
  }

  public static let partition = "main"

  /// The text of slurm.conf.
  public var text: String {
    let plugins = pluginFolder.map { "PluginDir=\($0)" }
    let sections = [identity, communication, plugins, files, behaviour, scheduling]
    return """
      # Written by spunnelctl cluster up; it is written again at the next one, but for the end.
      \(sections.compactMap { $0 }.joined(separator: "\n\n"))

      \(nodes.joined(separator: "\n"))
      PartitionName=\(SlurmConfiguration.partition) Nodes=ALL Default=YES MaxTime=INFINITE State=UP

      """
  }

  private var identity: String {
    let name = Host.name.prefix { $0 != "." }
    let host = shape.fleet?.controllerAddress.map { "\(name)(\($0))" }
    return """
      ClusterName=\(layout.name.description.lowercased())
      SlurmctldHost=\(host ?? "localhost(127.0.0.1)")
      SlurmctldPort=\(ports.controller)
      SlurmUser=\(user)
      SlurmdUser=\(user)
      AuthType=auth/munge
      CredType=cred/munge
      AuthInfo=socket=\(layout.mungeSocket)
      """
  }

  private var communication: String? {
    var words: [String] = []
    if let fleet = shape.fleet, fleet.isRemote {
      let isSix = fleet.nodes.contains { $0.address?.contains(":") ?? false }
      return isSix ? "CommunicationParameters=EnableIPv6" : nil
    }
    if network.hasBothFamilies { words.append("EnableIPv6") }
    // This is for srun's ports: the daemons listen on loopback in any case. Without it srun would
    // listen on the address of the host's name.
    if network.nameIsLoopback { words += ["NoInAddrAny", "NoCtldInAddrAny"] }
    return words.isEmpty ? nil : "CommunicationParameters=" + words.joined(separator: ",")
  }

  private var files: String {
    """
    StateSaveLocation=\(layout.state)
    SlurmdSpoolDir=\(layout.spool)/%n
    SlurmctldPidFile=\(layout.state)/slurmctld.pid
    SlurmdPidFile=\(layout.state)/slurmd-%n.pid
    SlurmctldLogFile=\(layout.log(of: "slurmctld"))
    SlurmdLogFile=\(layout.log(of: "slurmd-%n"))
    # A log for a person: what goes wrong. scontrol setdebug tells more.
    SlurmctldDebug=error
    SlurmdDebug=error
    JobCompType=jobcomp/filetxt
    JobCompLoc=\(layout.log(of: "jobs"))
    """
  }

  private var behaviour: String {
    """
    # What can be enforced without root: processes are found by their parents, memory is looked at
    # every second, and jobs are bound to their processors where those are the machine's own.
    ProctrackType=proctrack/linuxproc
    TaskPlugin=\(shape.binds ? "task/affinity" : "task/none")
    JobAcctGatherType=jobacct_gather/linux
    JobAcctGatherFrequency=task=1
    # Pages that processes share are counted once (proc(5), Pss): a server of many processes has most in common.
    JobAcctGatherParams=OverMemoryKill,UsePss
    AccountingStorageType=accounting_storage/none
    MpiDefault=none
    SwitchType=switch/none
    KillWait=5
    ReturnToService=2
    InactiveLimit=0
    # A node may have more processors and memory than the machine.
    SlurmdParameters=config_overrides
    # How long scontrol show job knows a finished job. It counts as one of MaxJobCount until then: at the
    # hundred jobs a second that a node can end, there is room for an array of the largest size besides.
    MinJobAge=900
    MaxJobCount=250000
    MaxArraySize=100001
    """
  }

  private var scheduling: String {
    """
    SelectType=select/cons_tres
    SelectTypeParameters=CR_Core_Memory
    # Without it each job would take all memory.
    DefMemPerCPU=\(shape.memoryPerProcessor)
    SchedulerType=sched/backfill
    SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,\
    default_queue_depth=1000,bf_interval=5
    # Without any epilog a node answers "already complete", and the next job waits for a background
    # loop of the controller, which comes round once a second. Running one costs a process, and
    # after it Slurm sleeps 10 ms: so there is one, and nothing that would run it.
    Epilog=\(nothing)
    PrEpPlugins=""
    \(priority)
    """
  }

  private var priority: String {
    switch shape.policy {
    case .fifo: "PriorityType=priority/basic"
    case .largestFirst:
      """
      PriorityType=priority/multifactor
      PriorityWeightTRES=CPU=1000000
      PriorityCalcPeriod=1
      """
    }
  }

  private var nodes: [String] {
    if let fleet = shape.fleet {
      return fleet.nodes.enumerated().map { SlurmConfiguration.line($1, weight: $0 + 1) }
    }
    let resources = shape.gpus > 0 ? " Gres=gpu:\(shape.gpus)" : ""
    let lines = zip(shape.nodeNames, ports.nodes).map { name, port in
      "NodeName=\(name) NodeHostname=localhost NodeAddr=127.0.0.1 Port=\(port) "
        + "CPUs=\(shape.processors) RealMemory=\(shape.memory.mebibytes)\(resources)"
    }
    return (shape.gpus > 0 ? ["GresTypes=gpu"] : []) + lines
  }

  /// - Parameter weight: the node's place in the description; of the nodes that fit, Slurm chooses
  ///   the first
  private static func line(_ node: FleetNode, weight: Int) -> String {
    let features = node.groups.isEmpty ? "" : " Feature=" + node.groups.joined(separator: ",")
    let host = node.address == nil ? "localhost" : node.host ?? node.name
    return "NodeName=\(node.name) NodeHostname=\(host) NodeAddr=\(node.address ?? "127.0.0.1") "
      + "Port=\(node.port ?? 0) CPUs=\(node.processors) RealMemory=\(node.memory.mebibytes) "
      + "Weight=\(weight)\(features)"
  }

  /// The text of gres.conf.
  ///
  /// - Parameter devices: a file for each GPU of a node; Slurm numbers them in this order for
  ///   `CUDA_VISIBLE_DEVICES`
  public static func gpus(devices: [String]) -> String {
    if devices.isEmpty { return "" }
    return "AutoDetect=off\n" + devices.map { "Name=gpu File=\($0)\n" }.joined()
  }

  /// The text of cgroup.conf.
  ///
  /// The cluster uses no cgroups. From 21.08 on, slurmd still loads a plugin for the cgroup version
  /// of the host, and exits if it knows none, for example with both versions mounted. From 24.05
  /// on, slurmd can be told to load none. Before, `cgroup/v1` is safe: it reads nothing until it is
  /// used.
  ///
  /// - Returns: an empty text for a Slurm that needs no cgroup.conf and would refuse the key
  public static func controlGroups(of version: SlurmVersion?) -> String {
    guard let version, version >= SlurmVersion(21, 8) else { return "" }
    return "CgroupPlugin=\(version >= SlurmVersion(24, 5) ? "disabled" : "cgroup/v1")\n"
  }

  /// The text of plugstack.conf. It finds the plugin through the cluster's own link.
  public var plugins: String {
    let own = shape.fleet == nil ? " ssh_args=-F|\(layout.sshConfiguration)" : ""
    let login = getuid() == 0 ? "" : " login_env=no"
    let way = shape.transport.map { " transport=\($0.rawValue)" } ?? ""
    return "optional \(layout.plugin)/spunnel.so\(own)\(login)\(way)\n"
  }
}
