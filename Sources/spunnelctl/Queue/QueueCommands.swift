// The commands of the queue.

import SpunnelCLI

enum QueueCommands {
  static let all: [CommandSpec] = [
    SubmitCommand.spec, QueueCommand.spec, NodesCommand.spec, InfoCommand.spec, LogsCommand.spec,
    WaitCommand.spec, CancelCommand.spec, ExplainCommand.spec, EfficiencyCommand.spec,
    RetryCommand.spec, SetCommand.spec,
  ]

  /// Programs by their own names: links to spunnelctl.
  static let links = [WqTool.root] + LocalQueueTools.roots
}
