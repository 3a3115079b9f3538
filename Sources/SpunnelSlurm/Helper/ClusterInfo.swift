// The cluster as Slurm describes it: nodes, partitions and the configuration.

/// A node of the cluster.
package struct NodeInfo: Sendable {
  package let name: String
  /// NodeAddr and NodeHostName.
  package let address: String
  package let host: String
  /// Slurm's word for the state, such as `IDLE`, `MIXED`, `ALLOCATED` or `DOWN`.
  package let state: String
  /// Flags in addition to the state, such as `DRAIN` or `NO_RESPOND`.
  package let flags: [String]
  /// Whether a job can start on the node.
  package let isUsable: Bool
  package let cpus: Int
  package let cpusUsed: Int
  package let threadsPerCore: Int
  /// Memory in MiB: configured, allocated to jobs, and free in the operating system.
  package let memory: Int
  package let memoryUsed: Int
  package let memoryFree: Int?
  /// The CPU load in hundredths.
  package let load: Int?
  package let features: [String]
  package let gres: String
  package let gresUsed: String
  package let reason: String

  init(_ record: HelperRecord) {
    name = record.text("name")
    address = record.text("address")
    host = record.text("host")
    state = record.text("state")
    flags = record.list("flags")
    isUsable = record.number("usable") == 1
    cpus = record.number("cpus") ?? 0
    cpusUsed = record.number("cpus_used") ?? 0
    threadsPerCore = record.number("threads_per_core") ?? 1
    memory = record.number("memory") ?? 0
    memoryUsed = record.number("memory_used") ?? 0
    memoryFree = record.number("memory_free")
    load = record.number("load")
    features = record.list("features")
    gres = record.text("gres")
    gresUsed = record.text("gres_used")
    reason = record.text("reason")
  }
}

/// A partition of the cluster.
package struct PartitionInfo: Sendable {
  package let name: String
  /// `UP`, `DOWN`, `DRAIN` or `INACTIVE`.
  package let state: String
  package let isDefault: Bool
  /// A node list such as `n[1-2]`.
  package let nodes: String
  package let nodeCount: Int
  package let cpus: Int
  /// Both time limits in minutes.
  package let timeLimit: Limit?
  package let timeDefault: Limit?
  package let mostNodes: Limit?
  package let leastNodes: Int?
  package let mostCPUsPerNode: Limit?
  /// All four memory values in MiB.
  package let defaultMemoryPerNode: Int?
  package let defaultMemoryPerCPU: Int?
  package let mostMemoryPerNode: Int?
  package let mostMemoryPerCPU: Int?
  /// Empty: every account is allowed.
  package let accounts: [String]
  package let accountsDenied: [String]
  /// Empty: every group is allowed.
  package let groups: [String]
  package let qos: [String]

  init(_ record: HelperRecord) {
    name = record.text("name")
    state = record.text("state")
    isDefault = record.number("default") == 1
    nodes = record.text("nodes")
    nodeCount = record.number("node_count") ?? 0
    cpus = record.number("cpus") ?? 0
    timeLimit = record.limit("time_limit")
    timeDefault = record.limit("time_default")
    mostNodes = record.limit("most_nodes")
    leastNodes = record.number("least_nodes")
    mostCPUsPerNode = record.limit("most_cpus_per_node")
    defaultMemoryPerNode = record.number("default_memory_per_node")
    defaultMemoryPerCPU = record.number("default_memory_per_cpu")
    mostMemoryPerNode = record.number("most_memory_per_node")
    mostMemoryPerCPU = record.number("most_memory_per_cpu")
    accounts = record.list("accounts")
    accountsDenied = record.list("accounts_denied")
    groups = record.list("groups")
    qos = record.list("qos")
  }
}

/// Slurm's configuration, as its library reads it on this host.
package struct ConfigurationInfo: Sendable {
  /// The path of slurm.conf: `$SLURM_CONF`, the place that Slurm was built for, or /run/slurm/conf.
  /// Slurm's own library decides.
  package let path: String
  package let cluster: String
  /// The path of plugstack.conf. If slurm.conf does not name it, this is empty, and the file lies
  /// beside slurm.conf.
  package let plugstack: String
  /// `accounting_storage/slurmdbd`, or a plugin that stores nothing.
  package let accounting: String
  /// JobAcctGatherType.
  package let gathering: String
  /// PriorityType.
  package let priorities: String
  /// MaxJobCount, MaxArraySize, MinJobAge in seconds, and KillWait in seconds.
  package let mostJobs: Int
  package let arraySize: Int
  package let endedJobsAge: Int
  package let killWait: Int
  /// The Slurm release for which spunnel-jobs was built, such as `22.05`.
  package let builtFor: String

  init(_ record: HelperRecord) {
    path = record.text("path")
    cluster = record.text("cluster")
    plugstack = record.text("plugstack")
    accounting = record.text("accounting")
    gathering = record.text("gathering")
    priorities = record.text("priorities")
    mostJobs = record.number("most_jobs") ?? 10_000
    arraySize = record.number("array_size") ?? 1001
    endedJobsAge = record.number("ended_jobs_age") ?? 300
    killWait = record.number("kill_wait") ?? 30
    builtFor = record.text("built_for")
  }

  /// Whether sacct has records of ended jobs.
  package var hasAccounting: Bool { accounting.hasSuffix("slurmdbd") }
}

extension HelperRecord {
  /// The words of a column, separated by commas.
  func list(_ column: String) -> [String] {
    text(column).split(separator: ",").map(String.init)
  }
}
