// The commands of spunnelctl. Each wing has its own folder.

import SpunnelCLI

enum CommandTree {
  static let root = CommandSpec(
    "spunnelctl", "Reach what runs in your Slurm jobs.",
    details: """
      What people need most:

        srun --pty --tunnel 8001:8000,8889:8888 bash
            Ports 8001 and 8889 of this host reach the step's node.
        srun --tunnel :auto CMD
            Free ports at both ends; see $SPUNNEL_PORT.
        sbatch --tunnel 8001:8000 job.sh
            The same for a batch job, while it runs.

      man spunnel has all forms of --tunnel. spunnelctl help COMMAND tells more of a command, as
      COMMAND --help does.
      """,
    examples: [
      .init("spunnelctl status", "Show what is open, and whether anything answers."),
      .init("spunnelctl open 12 8001:8000", "Open a tunnel into a running job."),
    ],
    exitStatuses: [
      ("0", "All went well."), ("1", "Something failed."),
      ("2", "The command line makes no sense."),
    ],
    subcommands: [
      StatusCommand.spec, OpenCommand.spec, URLCommand.spec, CloseCommand.spec, CleanCommand.spec,
      DoctorCommand.spec, CheckConfigCommand.spec, MetricsCommand.spec,
      SessionCommand.spec, JobSSHCommand.spec, JobProxyCommand.spec,
      ClusterCommand.spec,
      CompletionCommand.spec(
        for: ["spunnelctl", QconnectCommand.spec.name] + QueueCommands.links.map(\.name)),
    ] + QueueCommands.all)
}
