// The command that starts an agent: srun on a node of the allocation, or the agent itself without
// Slurm.

import SpunnelSystem

/// The command line and the environment of one agent.
package struct AgentCommand {
  /// The path of this program, the same on all nodes.
  package let program: String
  /// The absolute path of srun; `nil` without Slurm.
  package let srun: String?
  package let allocation: Allocation
  package let options: PoolOptions

  package init(program: String, srun: String?, allocation: Allocation, options: PoolOptions) {
    self.program = program
    self.srun = srun
    self.allocation = allocation
    self.options = options
  }

  /// The command line for a node.
  package func words(_ node: Allocation.Node) -> [String] {
    guard let srun else { return agent(node) }
    return [
      srun, "--nodelist=\(node.name)", "-N1", "-n1", "--job-name=pool",
      // The step shares the job's resources and takes none from its other steps. A task may use all
      // processors of the job.
      "--overlap", "--mem=0", "--cpu-bind=none", "--mpi=none",
      "--quiet", "--kill-on-bad-exit=0", "--quit-on-interrupt", "--export=ALL",
    ] + agent(node)
  }

  private func agent(_ node: Allocation.Node) -> [String] {
    var words = [program, "agent", "--slots", String(node.slots)]
    if let job = allocation.job { words += ["--job", job] }
    if let memory = allocation.memory { words += ["--memory", String(memory)] }
    if let output = options.output { words += ["--output", output] }
    if let error = options.error { words += ["--error", error] }
    return words
  }

  /// Variables of Slurm that tasks may need and that srun does not read as its options.
  private static let kept = [
    "SLURM_CONF=", "SLURM_JOBID=", "SLURM_JOB_", "SLURM_SUBMIT_", "SLURM_ARRAY_",
    "SLURM_CLUSTER_NAME=",
    "SLURM_RESTART_COUNT=", "SLURMD_", "SLURM_TASKS_PER_NODE=",
  ]

  /// The environment of srun, which passes it on. It leaves out the options of the batch step, and
  /// the tunnel that was requested with the job.
  ///
  /// - Parameter inherited: `NAME=value` entries
  package func environment(from inherited: [ByteString]) -> [ByteString] {
    inherited.filter { entry in
      if entry.hasPrefix("SRUN_") || entry.hasPrefix("SLURM_JOB_NUM_NODES=") { return false }
      if entry.hasPrefix("_SLURM_SPANK_OPTION_spunnel_") { return false }
      return !entry.hasPrefix("SLURM") || AgentCommand.kept.contains { entry.hasPrefix($0) }
    }
  }
}
