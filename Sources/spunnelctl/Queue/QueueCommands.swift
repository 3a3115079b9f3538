// The commands of the queue.

import SpunnelCLI

enum QueueCommands {
  static let all: [CommandSpec] = [
    SubmitCommand.spec, QueueCommand.spec, NodesCommand.spec, InfoCommand.spec, LogsCommand.spec,
    WaitCommand.spec, CancelCommand.spec, ExplainCommand.spec, EfficiencyCommand.spec,
    RetryCommand.spec, SetCommand.spec,
  ]

  /// The commands of other queues, which are programs of their own: links to spunnelctl.
  static let links = [WqTool.root] + LocalQueueTools.roots
}
